"""Nobody notices an upgrade: processes are restarted one after the other, and two releases serve one database.

What docs/operate/upgrade.md says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import ROOT
from tests.issuer import FakeIssuer
from tests.line import Held
from tests.people import CI, CONNECTION, DAVE
from tests.releases import release
from tests.upstream import running
from tests.world import Speaker, World, marker, until, world

pytestmark = pytest.mark.promise("nothing-lost")

PREVIOUS = "adc9e06"  # of what is compared with: the last commit before three packages got new tables


@dataclass
class Waiting:
    """A call that waits for a person somewhere."""

    arguments: dict[str, str]
    held: Held
    approval: str
    who: Speaker = DAVE

    @property
    def marker(self) -> str:
        return self.arguments["marker"]

    def again(self, at: World) -> None:
        """Send the same call to another process, as a client does that was told that it still waits."""
        self.held = at.caller(self.who).begin("query", self.arguments)
        assert self.held.approval_id == self.approval, "it joins its request"


def waiting(at: World, who: Speaker = DAVE) -> Waiting:
    arguments = {"sql": "delete from x", "marker": marker()}
    held = at.caller(who).begin("query", arguments)
    return Waiting(arguments, held, held.approval_id, who)


@contextlib.contextmanager
def installed(issuer: FakeIssuer, folder: object, base: str) -> Iterator[World]:
    """Give an installation of web processes on PostgreSQL, nothing of it started."""
    with running() as upstream:
        rules = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
        patient = connection(upstream.url, wait={"default": "30m", "max": "1h"})
        blocks = spelled_out(connections={CONNECTION: patient}, rules=rules)
        text = people.config_yaml(issuer.url, "", **blocks)
        with world(folder, issuer, {CONNECTION: upstream}, text, base) as made:  # type: ignore[arg-type]
            made.gateway.form = "web"
            yield made


def told_to_wait(calls: list[Waiting]) -> None:
    """Look that each caller of a process that stopped was told that nothing ran, and which request is theirs."""
    for one in calls:
        answer = one.held.answer()
        assert (answer.outcome, answer.approval["id"]) == (("pending", "false"), one.approval)


def test_a_rolling_restart_with_calls_that_wait_loses_none(
    issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> None:
    with installed(issuer, tmp_path_factory.mktemp("rolling"), postgresql_url) as first:
        first.gateway.prepare()
        first.start()
        with first.beside("web") as second:
            here, there = [waiting(first), waiting(first, CI), waiting(first)], [waiting(second), waiting(second, CI)]

            assert first.gateway.stop() == 0
            told_to_wait(here)
            second.approve(here[2].approval)  # nobody is on the line: it waits to be collected
            for one in here[:2]:
                one.again(second)
            first.start()

            assert second.gateway.stop() == 0
            told_to_wait([*here[:2], *there])
            for one in (*here[:2], *there):
                one.again(first)
            collected = first.caller(DAVE).call("query", here[2].arguments)
            assert not collected.is_error
            second.start()

            for one in (*here[:2], *there):
                second.approve(one.approval)
                assert not one.held.answer().is_error
            assert [first.upstream.markers[one.marker] for one in (*here, *there)] == [1] * 5
            assert second.gateway.stop() == 0
        first.assert_history()
        assert first.gateway.stop() == 0


def test_the_previous_release_serves_on_while_the_new_one_comes_up_beside_it(
    issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> None:
    old = release(PREVIOUS, tmp_path_factory.mktemp("previous"))
    with installed(issuer, tmp_path_factory.mktemp("upgrade"), postgresql_url) as before:
        before.gateway.root = old
        before.gateway.prepare()
        before.start()
        kept = waiting(before)

        new = before.gateway.sibling()
        new.root = ROOT
        new.manage("migrate", "--verbosity", "0")
        across = waiting(before)  # by the old program, on the new tables
        with before.beside("web") as unchanged:  # and it starts on them as well
            assert unchanged.gateway.root == old
            on_old = waiting(unchanged)
            after = World(new, issuer, before.upstreams, before.witness, before.told)
            after.start()
            on_new = waiting(after)

            after.approve(kept.approval)
            after.approve(across.approval)
            before.approve(on_new.approval)
            for one in (kept, across, on_new):
                assert not one.held.answer().is_error
            assert unchanged.gateway.stop() == 0
            told_to_wait([on_old])
        on_old.again(after)
        assert before.gateway.stop() == 0
        after.approve(on_old.approval)
        assert not on_old.held.answer().is_error
        markers = [after.upstream.markers[one.marker] for one in (kept, across, on_old, on_new)]
        assert markers == [1, 1, 1, 1]
        until(lambda: _all_signed(after), "the new release to sign what the old one wrote")
        after.assert_history()
        assert after.gateway.stop() == 0


def _all_signed(at: World) -> bool:
    return bool(at.stored.value("SELECT count(*) FROM mcp_sessions_checkpoint"))
