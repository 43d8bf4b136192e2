"""Limits on calls: told with a time to come back, shared by processes, and kept apart by what they are for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import ALICE, BOB, CONNECTION, DAVE, config_yaml
from tests.upstream import running
from tests.world import World, marker, world


def limited(folder: Path, issuer: FakeIssuer, rate: Any) -> Iterator[World]:
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url, orders={"rate": rate})
        with world(folder, issuer, {CONNECTION: upstream}, text) as made:
            made.start()
            yield made


def call(here: World, who: Any = DAVE, tool: str = "query") -> Answer:
    arguments = {"sql": "select 1", "marker": marker()} if tool == "query" else {"text": "x"}
    return here.caller(who).call(tool, arguments)


def refused(answer: Answer) -> bool:
    return answer.is_error and answer.ours("decision")["reason"] == "rate_limited"


def test_a_caller_over_the_limit_is_told_when_to_come_back(tmp_path: Path, issuer: FakeIssuer) -> None:
    for here in limited(tmp_path, issuer, {"calls": 3, "per": "1h"}):
        answers = [call(here) for _ in range(5)]

        assert [refused(answer) for answer in answers] == [False, False, False, True, True]
        last = answers[-1]
        assert last.status == 200
        assert (last.ours("decision")["executed"], last.ours("decision")["verdict"]) == ("false", "deny")
        assert 0 < int(last.headers["retry-after"]) <= 1200
        assert not refused(call(here, ALICE))
        assert here.caller(DAVE).ask("tools/list").status == 200
        assert len(here.upstream.calls) == 4
        here.assert_history()


def test_a_limit_on_all_callers_and_one_on_each_tool(tmp_path: Path, issuer: FakeIssuer) -> None:
    rates = [{"calls": 2, "per": "1h", "by": "tool"}, {"calls": 4, "per": "1h", "by": "connection"}]
    for here in limited(tmp_path, issuer, rates):
        assert [refused(call(here)) for _ in range(3)] == [False, False, True]
        assert not refused(call(here, tool="echo"))
        assert not refused(call(here, ALICE))
        assert refused(call(here, ALICE))


def test_two_processes_share_a_limit(tmp_path: Path, issuer: FakeIssuer, postgresql_url: str) -> None:
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url, orders={"rate": {"calls": 4, "per": "1h"}})
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, postgresql_url) as here:
            here.gateway.form = "web"
            here.gateway.prepare()
            here.start()
            with here.beside() as other:
                answers = [call(one) for _ in range(4) for one in (here, other)]

    assert sum(not refused(answer) for answer in answers) == 4


def test_who_has_no_access_learns_nothing_of_limits_and_uses_up_none(tmp_path: Path, issuer: FakeIssuer) -> None:
    for here in limited(tmp_path, issuer, {"calls": 1, "per": "1h", "by": "connection"}):
        assert [call(here, BOB).status for _ in range(3)] == [403, 403, 403]
        assert not refused(call(here))
