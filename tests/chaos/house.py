"""An installation under fire: the process that is struck, the one that lives on, and calls that wait meanwhile."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import Form, NotReady
from tests.issuer import FakeIssuer
from tests.line import Held
from tests.people import CONNECTION, DAVE
from tests.servers import PostgreSQL
from tests.upstream import running
from tests.world import World, marker, until, world

# What a caller, or somebody who decides, meets when the process dies under their request.
CUT = (httpx.TransportError, OSError, http.client.HTTPException)
KILLED = -9


def configuration(issuer: FakeIssuer, upstream_url: str, **changes: Any) -> str:
    """Return a holdgate.yaml in which a word in the arguments says what shall happen."""
    rules = [
        word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba()),
        word_rule("the-crowd-waits", "hold", r"\bplease\b", approval=one_dba()),
        word_rule("hasty", "hold", r"\bhasty\b", approval=one_dba(expires_after="1s")),
        word_rule("forgetful", "hold", r"\bforgetful\b", approval=one_dba(collect_within="1s")),
        word_rule("never-drop", "deny", r"\bdrop\b"),
    ]
    blocks = {"connections": {CONNECTION: connection(upstream_url, timeout="5s")}, "rules": rules, **changes}
    return people.config_yaml(issuer.url, "", **spelled_out(**blocks))


@dataclass
class House:
    """`here` is struck. `beside` is another process on the same database, when there is one."""

    here: World
    beside: World | None = None

    def strike(self, failpoint: str, act: Callable[[World], object], crowd: int = 0) -> list[Waiting]:
        """Start `here` so that it dies at this point of what `act` does; return the calls that waited there then."""
        gateway = self.here.gateway
        gateway.stop()
        gateway.failpoint = failpoint
        waiting: list[Waiting] = []
        try:
            with contextlib.suppress(*CUT, NotReady):
                self.here.start()
                waiting += [Waiting.begin(self.here) for _ in range(crowd)]
                act(self.here)
        finally:
            gateway.failpoint = ""
        assert gateway.died() == KILLED, f"it was not killed {failpoint}"
        return waiting

    def start_what_is_dead(self) -> None:
        """Start every process that does not run."""
        for one in (self.here, self.beside):
            if one is not None and one.gateway.process is None:
                one.start()

    def after(self) -> World:
        """Return where to ask now: at the process that lives on, or at a new one."""
        at = self.beside or self.here
        if at.gateway.process is None:
            at.start()
        return at

    def requests(self, mark: str) -> list[tuple[str, str]]:
        """Return id and status of the requests about this marker, oldest first."""
        asked = "SELECT id, status FROM approvals_approvalrequest WHERE arguments LIKE ? ORDER BY id"
        return [(row[0], row[1]) for row in self.here.stored.rows(asked, f"%{mark}%")]

    def assert_history(self) -> None:
        """Judge everything so far, once no call is open any more.

        A dead process is noticed after 15 seconds. A living one that could not record how a call ended leaves it to
        its time to recover: 5 seconds for the upstream, 40 beyond.
        """
        self.here.assert_history(80)


@dataclass(frozen=True)
class Waiting:
    """A call that was held when the process was struck."""

    mark: str
    held: Held
    approval: str

    @classmethod
    def begin(cls, at: World) -> Waiting:
        """Begin a call that a rule holds, and wait until the gateway has named its request."""
        mark = marker()
        held = at.caller(DAVE).begin("echo", {"text": "please", "marker": mark})
        return cls(mark, held, held.approval_id)

    def assert_waits_and_runs_once(self, at: World) -> None:
        """Its request waits as before, can be decided, and is collected by a repeat of the call, once."""
        at.told.asked.append(self.approval)
        assert at.approval(self.approval)["status"] == "pending"
        at.approve(self.approval)
        arguments = {"text": "please", "marker": self.mark}
        answer = at.caller(DAVE).call("echo", arguments, holdgate_approval=self.approval)
        assert answer.said == "please"
        assert at.upstream.markers[self.mark] == 1


def ended(house: House, approval: str, *states: str) -> None:
    """Wait until a request has reached one of these states."""
    asked = "SELECT status FROM approvals_approvalrequest WHERE id = ?"
    until(lambda: house.here.stored.value(asked, approval) in states, f"{approval} to be {states}", 40)


@contextlib.contextmanager
def single(folder: Path, issuer: FakeIssuer) -> Iterator[House]:
    """Give one process that is everything, on SQLite."""
    with running() as upstream:
        text = configuration(issuer, upstream.url)
        with world(folder, issuer, {CONNECTION: upstream}, text, "sqlite") as here:
            here.start()
            yield House(here)


@contextlib.contextmanager
def pair(folder: Path, issuer: FakeIssuer, server: PostgreSQL, form: Form = "web", **env: str) -> Iterator[House]:
    """Give two web processes on PostgreSQL. Nothing expires there of itself: that takes a Celery worker."""
    with running() as upstream:
        text = configuration(issuer, upstream.url)
        with world(folder, issuer, {CONNECTION: upstream}, text, server.url(), **env) as here:
            here.gateway.form = form
            here.gateway.prepare()
            here.start()
            with here.beside(form) as beside:
                yield House(here, beside)
