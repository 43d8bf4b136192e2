"""`/metrics` of a real gateway after real traffic: the numbers are those of what was done, for those who may read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, until, world

TOKEN = "scrape-Wn7pQ2xv"
Numbers = dict[str, float]


@pytest.fixture(scope="module")
def counted(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of this module alone, running, whose numbers its token opens."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        rules = [
            word_rule("never-drop", "deny", r"\bdrop\b"),
            word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba()),
        ]
        connections = {CONNECTION: connection(upstream.url), "dead": connection("http://127.0.0.1:1/mcp")}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, rules=rules))
        folder = tmp_path_factory.mktemp("metrics")
        token = {"HOLDGATE_METRICS_TOKEN": TOKEN, "HOLDGATE_MAX_HELD": "50"}
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, **token))
        made.start()
        yield made


def scraped(here: World, **headers: str) -> httpx.Response:
    return httpx.get(f"{here.gateway.url}/metrics", headers=headers, timeout=20, trust_env=False)


def numbers(here: World) -> Numbers:
    """Return every number, by its name with the values of its labels behind it."""
    answer = scraped(here, authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[" ".join([sample.name, *(text for _, text in sorted(sample.labels.items()))])] = sample.value
    return found


def test_the_numbers_are_those_of_what_was_done(counted: World) -> None:
    before = numbers(counted)
    dave = counted.caller(DAVE)
    for _ in range(3):
        assert not dave.call("echo", {"text": "ada@example.com", "marker": marker()}).is_error
    echoed = numbers(counted)
    assert dave.call("query", {"sql": "drop table x"}).outcome[0] == "blocked"
    held = dave.begin("query", {"sql": "delete from x", "marker": marker()})
    approval = held.approval_id
    during = numbers(counted)
    counted.approve(approval)
    assert not held.answer().is_error
    refused = dave.begin("query", {"sql": "delete from y", "marker": marker()})
    counted.decide(refused.approval_id, "deny", comment="no")
    assert refused.answer().outcome[0] == "denied"
    assert counted.caller(DAVE, "dead").call("query", {}).outcome[0] == "upstream_unavailable"
    assert counted.caller(DAVE, "no-such-connection").ask("tools/list").status == 403
    assert httpx.post(f"{counted.gateway.url}/mcp/{CONNECTION}", json={}, trust_env=False).status_code == 401

    after = until(lambda: _when_all_left(counted), "the waiting calls to leave")

    calls = f"holdgate_calls_total {CONNECTION} tools/call"
    assert _more(before, after, "holdgate_calls_total", "tools/call") == {
        f"{calls} answered allow": 3,
        f"{calls} blocked deny": 1,
        f"{calls} answered hold": 1,
        f"{calls} denied hold": 1,
        "holdgate_calls_total dead tools/call upstream_unavailable allow": 1,
    }
    assert _more(before, after, "holdgate_upstream_faults_total") == {
        "holdgate_upstream_faults_total dead upstream_unavailable": 1
    }
    assert _more(before, echoed, "holdgate_masked_total") == {f"holdgate_masked_total {CONNECTION} email": 3}
    assert _more(before, after, "holdgate_refusals_total") == {
        "holdgate_refusals_total  forbidden": 1,
        f"holdgate_refusals_total {CONNECTION} unauthenticated": 1,
    }
    assert _more(before, after, "holdgate_decisions_total") == {
        f"holdgate_decisions_total {CONNECTION} approved": 1,
        f"holdgate_decisions_total {CONNECTION} denied": 1,
    }
    assert _more(before, after, "holdgate_approvals_requested_total") == {
        f"holdgate_approvals_requested_total {CONNECTION}": 2
    }
    for name in ("decision_seconds", "wait_seconds"):
        assert after[f"holdgate_{name}_count"] - before[f"holdgate_{name}_count"] == 2
    assert after[f"holdgate_call_seconds_count {CONNECTION} allow"] >= 3
    assert (during["holdgate_held_calls"], during["holdgate_pending_requests"]) == (1, 1)
    assert during["holdgate_held_calls_limit"] == 50
    stored = counted.stored.value("SELECT count(*) FROM mcp_sessions_entry")
    assert stored - 10 <= after["holdgate_record_entries_total"] <= stored
    assert after["holdgate_record_append_seconds_count"] > before["holdgate_record_append_seconds_count"]
    assert sum(after[f"holdgate_record_failures_total {why}"] for why in ("failed", "late")) == 0
    assert after["holdgate_policy_revision"] == 1
    assert after["holdgate_log_signing"] == 1
    assert after["holdgate_event_loop_lag_seconds_count"] > 0
    assert after["holdgate_process_resident_memory_bytes"] > 1_000_000


def _when_all_left(here: World) -> Numbers | None:
    found = numbers(here)
    return found if found["holdgate_held_calls"] == 0 else None


def _more(before: Numbers, after: Numbers, *parts: str) -> Numbers:
    """Return by how much the numbers with these parts in their names grew."""
    names = [name for name in after if all(part in name for part in parts)]
    return {name: after[name] - before.get(name, 0) for name in names if after[name] != before.get(name, 0)}


def test_the_log_is_signed_in_the_end(counted: World) -> None:
    until(lambda: numbers(counted)["holdgate_log_unsigned_entries"] == 0, "the sequencer to sign everything")


def test_what_callers_make_up_makes_no_new_names(counted: World) -> None:
    before = set(numbers(counted))
    for number in range(5):
        assert counted.caller(DAVE, f"made-up-{number}").ask("tools/list").status == 403
        assert counted.caller(DAVE).ask(f"made/up{number}").status != 500

    new = {name for name in set(numbers(counted)) - before if "made" in name}

    assert new == set()


def test_without_the_token_nothing_is_told(counted: World) -> None:
    assert scraped(counted).status_code == 401
    assert scraped(counted, authorization="Bearer wrong").status_code == 401
    assert scraped(counted, authorization=f"Bearer {TOKEN}", host="10.1.2.3:8080").status_code == 200


def test_without_any_token_only_this_machine_itself_reads(here: World) -> None:
    assert scraped(here).status_code == 200
    assert scraped(here, host="gateway.example.com").status_code == 403
    assert scraped(here, **{"x-forwarded-for": "203.0.113.7"}).status_code == 403
