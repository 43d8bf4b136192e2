"""A remembered decision, from the vote to its end: callers, processes and the record, end to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import people
from tests.blocks import one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.people import ALICE, CI, CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("bound-decision")
USES = 5
CAPS = {"scopes": ["same_arguments", "same_tool"], "max_age": "1h", "max_uses": USES}


def rules(**more: Any) -> list[dict[str, Any]]:
    never = word_rule("never-drop", "deny", r"\bdrop\b")
    return [never, word_rule("deletes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba(remember=CAPS, **more))]


def text(issuer: FakeIssuer, url: str, **more: Any) -> str:
    return people.config_yaml(issuer.url, url, **spelled_out(rules=rules(**more)))


@pytest.fixture
def house(tmp_path: Path, issuer: FakeIssuer) -> Iterator[World]:
    """A gateway of this test alone."""
    with running() as upstream, world(tmp_path, issuer, {CONNECTION: upstream}, text(issuer, upstream.url)) as here:
        here.start()
        yield here


def arguments(sql: str = "delete from a") -> dict[str, Any]:
    return {"sql": sql, "marker": marker()}


def remember(house: World, approval: str, scope: str = "same_tool", **limits: Any) -> None:
    """Approve as Alice, and let it be remembered."""
    body = {"decision": "approve", "remember": {"scope": scope, **limits}}
    answer = house.api(ALICE, "POST", f"approvals/{approval}/decide/", json=body)
    assert answer.status_code == 200, answer.text
    house.told.decisions.append((approval, "approve"))


def granted(house: World, who: Any = DAVE, **limits: Any) -> dict[str, Any]:
    """Have one call held, approved, remembered and run; return the grant."""
    held = house.caller(who).begin("query", arguments())
    remember(house, held.approval_id, **limits)
    assert held.answer().is_error is False
    grant: dict[str, Any] = house.api(ALICE, "GET", "grants/").json()["results"][0]
    return grant


def ask(house: World, sql: str = "delete from a", **more: Any) -> Any:
    return house.caller(DAVE).call("query", arguments(sql), prefer="wait=0", **more)


def test_calls_like_the_approved_one_run_at_once_until_the_grant_is_taken_back(house: World) -> None:
    grant = granted(house)

    covered = ask(house, "delete from b")
    assert covered.is_error is False
    assert house.approval(covered.approval["id"])["grant"] == grant["id"]

    assert ask(house, "drop table a; delete from a").outcome == ("blocked", "false"), "what is denied stays denied"
    assert house.api(ALICE, "POST", f"grants/{grant['id']}/revoke/").status_code == 200
    assert ask(house, "delete from b").outcome == ("pending", "false")
    house.assert_history()


def test_calls_at_once_in_two_processes_never_get_more_than_there_is(
    issuer: FakeIssuer, tmp_path: Path, postgresql_url: str
) -> None:
    with running() as upstream:
        config = text(issuer, upstream.url)
        with world(tmp_path, issuer, {CONNECTION: upstream}, config, postgresql_url) as one:
            one.gateway.form = "web"
            one.gateway.prepare()
            one.start()
            with one.beside() as other, ThreadPoolExecutor(20) as threads:
                granted(one)
                answers = list(threads.map(ask, [one, other] * 10))
            outcomes = [answer.outcome[0] for answer in answers]
            assert sorted(map(str, outcomes)) == ["None"] * USES + ["pending"] * (20 - USES)
            assert upstream.executions["query"] == USES + 1
            one.assert_history()


@pytest.mark.promise("rule-at-once")
def test_a_changed_rule_ends_what_was_remembered_of_it_at_once(house: World) -> None:
    granted(house)
    assert ask(house).is_error is False

    house.gateway.configure(text(house.issuer, house.upstream.url, expires_after="29m"))
    house.gateway.manage("policy", "apply", str(house.gateway.folder / "holdgate.yaml"))

    assert ask(house).outcome == ("pending", "false")
    (grant,) = house.api(ALICE, "GET", "grants/").json()["results"]
    assert grant["standing"] == "void"
    house.assert_history()


def test_the_sdk_notices_nothing_of_a_grant_but_that_nobody_is_asked(house: World) -> None:
    granted(house, CI, max_uses=1)
    line = house.caller(CI)

    async def story() -> None:
        headers = {"Authorization": f"Bearer {line.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
            Client(streamable_http_client(line.url, http_client=http), mode="legacy") as client,
        ):
            result = await client.call_tool("query", arguments("delete from z"))
            assert not result.is_error

    asyncio.run(story())
    assert house.upstream.executions["query"] == 2
    house.assert_history()
