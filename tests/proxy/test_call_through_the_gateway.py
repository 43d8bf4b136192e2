"""`manage.py call` through a real gateway process: held, decided, left and joined, across a restart."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.client.command import Options, call
from tests.gateway import ROOT, Gateway, installation
from tests.issuer import FakeIssuer, running_issuer
from tests.people import ALICE, CI, CONNECTION, config_yaml
from tests.upstream import FakeUpstream, running

DELETE = "DELETE FROM orders WHERE id = 7"
GUARD = 60.0


@dataclass
class Site:
    """A gateway with an issuer and an upstream, all real processes or servers."""

    gateway: Gateway
    issuer: FakeIssuer
    upstream: FakeUpstream

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the API as Alice."""
        headers = {"Authorization": ALICE.bearer(self.issuer)}
        url = f"{self.gateway.url}/api/v1/{path}"
        return httpx.request(method, url, headers=headers, timeout=GUARD, trust_env=False, **options)

    def decide(self, approval: str, decision: str) -> None:
        """Let Alice decide."""
        body = {"decision": decision, "comment": "Looked at it."}
        answer = self.api("POST", f"approvals/{approval}/decide/", json=body)
        assert answer.status_code == 200, answer.text

    def open_approvals(self) -> list[dict[str, Any]]:
        """What waits for people."""
        rows: list[dict[str, Any]] = self.api("GET", "approvals/?status=pending").json()["results"]
        return rows


class Terminal(io.StringIO):
    """What `call` tells its user; a test can wait for a word of it."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = threading.Condition()

    def write(self, text: str) -> int:
        with self._grown:
            written = super().write(text)
            self._grown.notify_all()
        return written

    def wait_for(self, word: str) -> None:
        """Return once the word was said."""
        with self._grown:
            assert self._grown.wait_for(lambda: word in self.getvalue(), GUARD), self.getvalue()


@dataclass
class Step:
    """One `call` in a thread of its own, as a shell step of a pipeline would run it."""

    site: Site
    tool: str
    arguments: dict[str, Any]
    wait: float = 60.0
    token: str = ""
    key: str = ""
    connection: str = CONNECTION
    out: io.StringIO = field(default_factory=io.StringIO)
    err: Terminal = field(default_factory=Terminal)
    codes: list[int] = field(default_factory=list)

    def run(self) -> int:
        """Run to the end and return the exit code."""
        options = Options(
            url=self.site.gateway.url,
            connection=self.connection,
            tool=self.tool,
            arguments=self.arguments,
            wait=self.wait,
            reason="cleaning up",
            key=self.key,
        )
        environ = {"HOLDGATE_TOKEN": self.token or CI.token(self.site.issuer)}
        self.codes.append(call(options, environ, out=self.out, err=self.err))
        return self.codes[-1]

    def start(self) -> Step:
        """Run beside the test."""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self.thread.join(GUARD)
        assert self.codes, self.err.getvalue()
        return self.codes[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One gateway for all tests of this file; each test uses arguments of its own."""
    folder: Path = tmp_path_factory.mktemp("call")
    with running_issuer() as issuer, running() as upstream, installation(folder) as gateway:
        gateway.configure(config_yaml(issuer.url, upstream.url))
        gateway.start()
        yield Site(gateway, issuer, upstream)


@pytest.mark.promise("masked-everywhere")
def test_an_allowed_call_prints_the_masked_result_and_exits_0(site: Site) -> None:
    step = Step(site, "query", {"sql": "SELECT * FROM customers"})

    assert step.run() == 0
    assert "****1111" in step.out.getvalue()
    assert "ada@example.com" not in step.out.getvalue()
    assert step.err.getvalue() == ""


def test_the_gateways_own_tools_are_asked_like_any_other(site: Site) -> None:
    step = Step(site, "list_connections", {}, connection="gateway")

    assert step.run() == 0, step.err.getvalue()
    assert [one["name"] for one in json.loads(step.out.getvalue())["connections"]] == [CONNECTION]


def test_a_tool_error_exits_1(site: Site) -> None:
    assert Step(site, "fail", {}).run() == 1


def test_a_token_of_somebody_else_exits_2(site: Site) -> None:
    forged = CI.token(site.issuer)[:-8] + "AAAAAAAA"

    step = Step(site, "query", {"sql": "SELECT 1"}, token=forged)

    assert step.run() == 2
    assert "unauthenticated" in step.err.getvalue()


def test_a_blocked_call_exits_5_and_never_reaches_the_upstream(site: Site) -> None:
    step = Step(site, "query", {"sql": "DROP TABLE orders", "marker": "blocked"})

    assert step.run() == 5
    assert site.upstream.markers["blocked"] == 0


@pytest.mark.promise("bound-decision")
def test_a_held_call_tells_who_decides_and_runs_once_when_approved(site: Site) -> None:
    step = Step(site, "query", {"sql": DELETE, "marker": "approved"}).start()
    step.err.wait_for("who decides: 1 of dba")
    (approval,) = site.open_approvals()
    site.decide(approval["id"], "approve")

    assert step.end() == 0
    assert approval["url"] in step.err.getvalue()
    assert site.upstream.markers["approved"] == 1


def test_a_denied_call_exits_3_with_the_comment(site: Site) -> None:
    step = Step(site, "query", {"sql": DELETE, "marker": "denied"}).start()
    step.err.wait_for("HELD")
    site.decide(site.open_approvals()[0]["id"], "deny")

    assert step.end() == 3
    assert "Looked at it" in step.err.getvalue()
    assert site.upstream.markers["denied"] == 0


def test_who_does_not_wait_exits_4_and_the_repeat_joins_the_same_request(site: Site) -> None:
    arguments = {"sql": DELETE, "marker": "joined"}
    token = CI.token(site.issuer)

    assert Step(site, "query", arguments, wait=0, token=token, key="joined").run() == 4
    (approval,) = site.open_approvals()
    site.decide(approval["id"], "approve")
    repeat = Step(site, "query", arguments, token=token, key="joined")

    assert repeat.run() == 0
    assert site.upstream.markers["joined"] == 1


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_held_call_outlives_a_restart_of_the_gateway(site: Site, end: str) -> None:
    step = Step(site, "query", {"sql": DELETE, "marker": end}, wait=120).start()
    step.err.wait_for("HELD")
    (before,) = site.open_approvals()
    getattr(site.gateway, end)()
    site.gateway.start()
    site.decide(before["id"], "approve")

    assert step.end() == 0, step.err.getvalue()
    assert site.upstream.markers[end] == 1


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_cancelled_reads_how_to_collect_the_call_and_another_one_does(site: Site, number: int) -> None:
    arguments, key = {"sql": DELETE, "marker": f"cancelled-{number}"}, f"cancelled-{number}"
    token = CI.token(site.issuer)
    command = ["-m", "proxy.client", "call", CONNECTION, "query", "--args", json.dumps(arguments)]
    process = subprocess.Popen(
        [sys.executable, *command, "--idempotency-key", key],
        cwd=ROOT,
        env={"HOLDGATE_URL": site.gateway.url, "HOLDGATE_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background has them ignore it, and so their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert "HELD" in process.stderr.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=GUARD)
    (approval,) = site.open_approvals()
    site.decide(approval["id"], "approve")
    repeat = Step(site, "query", arguments, token=token, key=key)

    assert (process.returncode, out) == (130, "")
    assert f"--idempotency-key {key}" in err
    assert site.upstream.markers[f"cancelled-{number}"] == 0
    assert repeat.run() == 0
    assert site.upstream.markers[f"cancelled-{number}"] == 1
