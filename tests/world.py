"""The whole world around one real gateway: its process, an issuer, upstreams that are watched, and the cast at work.

with world(folder, {"orders-db": upstream}, text) as here:
    dave = here.caller(DAVE)
    held = dave.begin("query", {"sql": "delete from orders", "marker": marker()})
    here.decide(held.approval_id, "approve")
    assert held.answer().is_error is False
"""

from __future__ import annotations

import contextlib
import random
import string
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from tests.gateway import Form, Gateway, installation
from tests.history import Told, Witness, assert_history, leaks, open_calls
from tests.issuer import FakeIssuer
from tests.line import Line
from tests.people import ALICE, CONNECTION, DAVE, GRACE, Human
from tests.stored import Stored, address_of
from tests.upstream import FakeUpstream
from tests.upstream_tools import ROWS

GUARD = 15.0
# Some callers may see people's data; nobody sees cards, and the record holds neither.
CARDS = tuple(str(row["card"]) for row in ROWS)
PLANTED = (*CARDS, *(str(row["ssn"]) for row in ROWS), str(ROWS[0]["email"]))
T = TypeVar("T")


class Speaker(Protocol):
    """Anybody who can show a token: a person, a job, a program."""

    def token(self, issuer: FakeIssuer, **claims: Any) -> str: ...


def marker() -> str:
    """Return a word that no other call has, and that no detector takes for a secret."""
    return "mark" + "".join(random.choices(string.ascii_lowercase, k=14))  # noqa: S311 - no secret


def until(found: Callable[[], T | None], what: str, seconds: float = GUARD) -> T:
    """Ask again and again until there is something, and return it; fail when the time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return answer


@dataclass
class World:
    """One gateway and who is around it."""

    gateway: Gateway
    issuer: FakeIssuer
    upstreams: Mapping[str, FakeUpstream]
    witness: Witness | None = None
    told: Told = field(default_factory=Told)
    claims: Mapping[str, Any] = field(default_factory=dict)  # in every token, such as a longer life

    @property
    def upstream(self) -> FakeUpstream:
        """The upstream of the usual connection."""
        return self.upstreams[CONNECTION]

    def start(self) -> None:
        """Start the gateway; from the first start on its upstreams are watched."""
        self.gateway.start()
        if self.witness is None:
            self.witness = Witness(Stored(address_of(self.gateway)))
            for name, upstream in self.upstreams.items():
                self.witness.watch(name, upstream)

    @contextlib.contextmanager
    def beside(self, form: Form = "web", **environment: str) -> Iterator[World]:
        """Give the same world at another process of the same installation, which runs until the end."""
        other = World(
            self.gateway.sibling(form, **environment), self.issuer, self.upstreams, self.witness, self.told, self.claims
        )
        try:
            other.start()
            yield other
        finally:
            other.gateway.kill()

    def caller(self, who: Speaker, connection: str = CONNECTION, *, era: str = "legacy", **claims: Any) -> Line:
        """Return a caller at a connection; further claims go into the token."""
        token = who.token(self.issuer, **{**self.claims, **claims})
        self.told.secrets[f"signature of token {len(self.told.secrets)}"] = token.rsplit(".", 1)[1]
        return Line(self.gateway.url, connection, token, era, heard=self.told.answers)

    def api(self, who: Speaker, verb: str, path: str, **options: Any) -> httpx.Response:
        """Ask the API as somebody; the path starts after `/api/v1/`."""
        headers = {"authorization": f"Bearer {who.token(self.issuer, **self.claims)}", **options.pop("headers", {})}
        url = f"{self.gateway.url}/api/v1/{path}"
        return httpx.request(verb, url, headers=headers, timeout=70, trust_env=False, **options)

    @contextlib.contextmanager
    def browser(self, who: Human) -> Iterator[httpx.Client]:
        """Give a browser in which a person has signed in at the identity provider."""
        self.issuer.login_as(who.sub)
        with httpx.Client(base_url=self.gateway.url, follow_redirects=True, timeout=GUARD, trust_env=False) as client:
            answer = client.get("/sign-in/with/corp/")
            assert (answer.status_code, answer.url.path) == (200, "/"), answer.text[:500]
            yield client

    def decide(self, approval: str, decision: str, who: Speaker = ALICE, comment: str = "") -> httpx.Response:
        """Decide as one of the cast."""
        body = {"decision": decision, "comment": comment}
        answer = self.api(who, "POST", f"approvals/{approval}/decide/", json=body)
        if answer.status_code == 200:
            self.told.decisions.append((approval, decision))
        return answer

    def approve(self, approval: str) -> None:
        """Approve as Alice, who may."""
        answer = self.decide(approval, "approve")
        assert answer.status_code == 200, answer.text

    def approval(self, approval: str) -> dict[str, Any]:
        """Return an approval as the auditor sees it."""
        answer = self.api(GRACE, "GET", f"approvals/{approval}/")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def asked(self, marker: str, status: str = "pending") -> list[str]:
        """Return the ids of the approvals in which this marker stands, newest first."""
        found = self.api(GRACE, "GET", f"approvals/?status={status}&limit=100").json()["results"]
        return [one["id"] for one in found if (one["arguments"] or {}).get("marker") == marker]

    def asked_for(self, marker: str) -> list[str]:
        """Wait until somebody is asked about this marker, and return the ids of the approvals."""
        return until(lambda: self.asked(marker), f"an approval request for {marker}")

    def tools(self, connection: str = CONNECTION) -> dict[str, dict[str, Any]]:
        """Return the tools as they are pinned, by name."""
        answer = self.api(DAVE, "GET", f"connections/{connection}/tools/")
        assert answer.status_code == 200, answer.text
        return {one["tool"]: one for one in answer.json()["results"]}

    def accept_tool(self, tool: str, digest: str, who: Speaker = DAVE, connection: str = CONNECTION) -> int:
        """Accept a definition, as an admin may; return the status."""
        body = {"digest": digest}
        return self.api(who, "POST", f"connections/{connection}/tools/{tool}/accept/", json=body).status_code

    def accept_tools(self, connection: str = CONNECTION) -> None:
        """Let the gateway see the tools as they are now, and accept all of them."""
        line = self.caller(DAVE, connection).initialize()
        line.ask("tools/list")
        line.raw("DELETE")
        for name, tool in self.tools(connection).items():
            if tool["pending_digest"]:
                assert self.accept_tool(name, tool["pending_digest"], connection=connection) == 200

    def attached(self, approval: str) -> str:
        """Return which process has a caller of this approval on the line; empty when none has."""
        return str(self.stored.value("SELECT attached_to FROM approvals_approvalrequest WHERE id = ?", approval))

    def noticed(self) -> None:
        """Return when the gateway has noticed all that reached its sockets before, such as a caller's leaving."""
        for _ in range(3):
            httpx.get(f"{self.gateway.url}/healthz", timeout=GUARD, trust_env=False).raise_for_status()

    def aside(self, work: Callable[[], T]) -> Future[T]:
        """Do something in a thread of its own."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return done

    def call_document(self, call_id: str) -> dict[str, Any]:
        """Return `/api/v1/calls/<id>/` as the auditor sees it."""
        answer = self.api(GRACE, "GET", f"calls/{call_id}/")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def stored(self) -> Stored:
        """The gateway's database, from outside."""
        assert self.witness is not None, "the gateway was never started"
        return self.witness.stored

    def assert_history(self, seconds: float = 40) -> None:
        """Wait until no call is open, and check the record against what upstreams saw and callers were told."""
        assert self.witness is not None
        until(lambda: open_calls(self.stored) == 0, "the end of all calls", seconds)
        verified = self.gateway.manage("verify", check=False)
        findings = [] if verified.returncode == 0 else [verified.stdout + verified.stderr]
        assert_history(self.stored, self.witness, self.told, findings)
        said = (("an answer", answer.text.encode()) for answer in self.told.answers)
        found = [*leaks(_secrets(self.told, PLANTED), self.written()), *leaks(_secrets(self.told, CARDS), said)]
        assert not found, "\n".join(sorted(set(found)))

    def written(self) -> Iterator[tuple[str, bytes]]:
        """Yield what was written down: database, log, state folder."""
        yield from self.stored.contents()
        yield "the log", "".join(self.gateway.log).encode()
        # Not SQLite's files: whoever closes one of them lets go all locks that this process holds on it.
        files = (path for path in (self.gateway.folder / "state").rglob("*") if path.is_file())
        yield from ((str(path), path.read_bytes()) for path in files if ".sqlite3" not in path.name)


def _secrets(told: Told, planted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what must stand nowhere: the callers' tokens, and personal data that the upstreams give out."""
    yield from told.secrets.items()
    yield from (("what an upstream gave out", value) for value in planted)


@contextlib.contextmanager
def world(
    folder: Path, issuer: FakeIssuer, upstreams: Mapping[str, FakeUpstream], text: str, base: str = "", **env: str
) -> Iterator[World]:
    """Install a gateway with this configuration, not started yet; `base` as in `installation`."""
    with installation(folder, base, **env) as gateway:
        if not gateway.database_url:
            gateway.migrated()
        gateway.configure(text)
        here = World(gateway, issuer, upstreams)
        try:
            yield here
        finally:
            if here.witness is not None:
                here.witness.stored.close()
