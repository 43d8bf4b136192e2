"""Two web processes on one PostgreSQL, and rounds of things that are done to them at the same moment."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import assert_history, open_calls
from tests.issuer import FakeIssuer
from tests.line import Held, Line
from tests.people import ALICE, BOB, CONNECTION, DAVE, GRACE, Human
from tests.upstream import running
from tests.world import World, marker, until, world

T = TypeVar("T")
GUARD = 30.0
BESIDE = 4  # rounds that run beside each other


def at_once(*works: Callable[[], T]) -> list[T]:
    """Do all of this at the same moment, each in a thread of its own; return what came of each, or raise."""
    barrier = threading.Barrier(len(works))

    def one(work: Callable[[], T]) -> T:
        barrier.wait(GUARD)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [done.result(GUARD) for done in [pool.submit(one, work) for work in works]]


def rounds(count: int, play: Callable[[], T]) -> list[T]:
    """Play so many rounds, some beside each other; return what came of each, or raise."""
    with ThreadPoolExecutor(BESIDE) as pool:
        return [done.result() for done in [pool.submit(play) for _ in range(count)]]


def rules(hold: str = "30m") -> list[dict[str, Any]]:
    """Return the rules of the races; `hold` words the one that publications change."""
    two = {"require": {"any_of": [{"groups": ["dba"], "count": 2}]}}
    return [
        word_rule("one", "hold", r"\bdelete\b", approval=one_dba()),
        word_rule("pair", "hold", r"\bpair\b", approval=two),
        word_rule("hasty", "hold", r"\bhasty\b", approval=one_dba(expires_after="1s")),
        word_rule("changing", "hold", r"\bchanging\b", approval=one_dba(expires_after=hold)),
    ]


@dataclass
class Pair:
    """The two processes; what is done to them alternates between them."""

    here: World
    there: World
    clients: list[httpx.Client] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=itertools.count)
    _lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Tokens and connections serve for the whole test: what is raced for is the gateway.
        self._tokens = {who.sub: who.token(self.here.issuer) for who in (ALICE, BOB, DAVE, GRACE)}
        self._lines = [one.caller(DAVE) for one in (self.here, self.there)]
        for one in (self.here, self.there):
            self.clients.append(httpx.Client(base_url=f"{one.gateway.url}/api/v1/", timeout=GUARD, trust_env=False))

    def ask(self, at: int, who: Human, verb: str, path: str, **options: Any) -> httpx.Response:
        """Ask the API of one of the two processes."""
        headers = {"authorization": f"Bearer {self._tokens[who.sub]}", **options.pop("headers", {})}
        return self.clients[at].request(verb, path, headers=headers, **options)

    def decide(self, at: int, approval: str, who: Human, decision: str = "approve") -> int:
        """Decide at one of the two processes; return the HTTP status."""
        body = {"decision": decision, "comment": "said"}
        answer = self.ask(at, who, "POST", f"approvals/{approval}/decide/", json=body)
        if answer.status_code == 200:
            self.here.told.decisions.append((approval, decision))
        return answer.status_code

    def line(self, at: int) -> Line:
        """Return Dave at one of the two processes."""
        return self._lines[at]

    def turn(self) -> int:
        """Return 0 and 1 in turns."""
        return next(self._turn) % 2

    def held(self, word: str, mark: str, at: int | None = None, **headers: Any) -> Held:
        """Begin a call of Dave's that waits by the time this returns."""
        line = self.line(self.turn() if at is None else at)
        call = line.begin("query", {"sql": f"{word} from orders", "marker": mark}, **headers)
        assert call.approval_id
        return call

    def approval(self, approval: str) -> dict[str, Any]:
        """Return an approval as the auditor sees it."""
        answer = self.ask(0, GRACE, "GET", f"approvals/{approval}/")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, approval: str) -> str:
        """Return where an approval ended; empty while it did not."""
        status = str(self.approval(approval)["status"])
        return "" if status in {"pending", "approved", "executing"} else status

    def ran(self, mark: str) -> int:
        """Return how often the upstream executed the call with this marker."""
        return self.here.upstream.markers[mark]

    def recorded(self, approval: str, kind: str) -> int:
        """Return how many entries of a kind the record has about an approval."""
        about = "SELECT leaf FROM mcp_sessions_entry WHERE kind = ?"
        return sum(approval.encode() in row[0] for row in self.here.stored.rows(about, kind))

    def text(self, *more: dict[str, Any], hold: str = "30m") -> str:
        """Return the whole configuration, with further rules and another wording of the one that changes."""
        blocks = spelled_out(connections={CONNECTION: connection(self.here.upstream.url)}, rules=[*more, *rules(hold)])
        return people.config_yaml(self.here.issuer.url, "", **blocks)

    def publish(self, text: str, at: int = 0) -> int:
        """Publish a configuration at one of the two processes and return its revision."""
        answer = self.ask(at, DAVE, "PUT", "policy/", content=text, headers={"content-type": "application/yaml"})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["revision"])

    def assert_history(self) -> None:
        """Wait until no call is open, and let the checker judge what happened."""
        assert self.here.witness is not None
        until(lambda: open_calls(self.here.stored) == 0, "the end of all calls", GUARD)
        assert_history(self.here.stored, self.here.witness, self.here.told)


@contextlib.contextmanager
def pair(folder: Path, issuer: FakeIssuer, server: str) -> Iterator[Pair]:
    """Run two web processes on a new database of this PostgreSQL; at the end their history is judged as a whole.

    Without a server: one process, on a SQLite file, twice the same.
    """
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        here = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, "", server or "sqlite"))
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules())
        here.gateway.configure(people.config_yaml(issuer.url, "", **blocks))
        if server:
            here.gateway.form = "web"
            here.gateway.prepare()
        here.start()
        both = Pair(here, stack.enter_context(here.beside()) if server else here)
        for client in both.clients:
            stack.enter_context(client)
        yield both
        here.assert_history()


__all__ = ["Pair", "at_once", "marker", "pair", "rounds", "rules"]
