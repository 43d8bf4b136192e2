"""What a client of either era relies on: filtered lists, statuses, batches, sessions, notifications, and leaving."""

from __future__ import annotations

import json

import pytest

from tests.line import JSON_ONLY
from tests.people import AGENT, CONNECTION, DAVE, EVE
from tests.world import World, marker, until

ERAS = ["legacy", "modern"]


@pytest.mark.parametrize("era", ERAS)
def test_tools_are_listed_as_far_as_access_and_unconditional_denials_allow(here: World, era: str) -> None:
    everything = here.caller(DAVE, era=era).ask("tools/list").result["tools"]
    narrow = here.caller(DAVE, "narrow", era=era).ask("tools/list").result["tools"]

    assert [tool["name"] for tool in everything] == [tool["name"] for tool in here.upstream.tools]
    assert [tool["name"] for tool in narrow] == ["query", "echo"]


@pytest.mark.parametrize("tool", ["slow", "fail"])
def test_a_tool_outside_of_the_callers_access_is_forbidden_and_not_run(here: World, tool: str) -> None:
    mark = marker()
    answer = here.caller(DAVE, "narrow").call(tool, {"marker": mark})

    assert (answer.status, answer.is_error) == (200, True)
    assert answer.outcome == ("forbidden", "false")
    assert here.upstreams["narrow"].markers[mark] == 0


@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_tool_is_a_protocol_error(here: World, era: str) -> None:
    answer = here.caller(DAVE, era=era).call("no_such_tool", {})

    assert answer.status == 200
    assert answer.body["error"]["code"] == -32602
    assert answer.body["error"]["data"]["executed"] == "false"


@pytest.mark.parametrize(("era", "status"), [("legacy", 200), ("modern", 404)])
def test_an_unknown_method_is_a_protocol_error_and_goes_nowhere(here: World, era: str, status: int) -> None:
    answer = here.caller(DAVE, era=era).ask("shop/refund", {"marker": marker()})

    assert answer.status == status
    assert answer.body["error"]["code"] == -32601
    assert answer.body["error"]["data"]["executed"] == "false"
    assert b"shop/refund" not in b"".join(seen.body for seen in here.upstream.requests)


@pytest.mark.parametrize(("era", "method"), [("modern", "tasks/list"), ("legacy", "tasks/update")])
def test_what_only_the_other_era_has_is_unknown(here: World, era: str, method: str) -> None:
    before = len(here.upstream.requests)

    answer = here.caller(DAVE, era=era).ask(method, {})

    assert answer.body["error"]["code"] == -32601
    assert len(here.upstream.requests) == before


def test_each_element_of_a_batch_is_judged_alone(here: World) -> None:
    caller, marks = here.caller(DAVE), [marker() for _ in range(3)]
    batch = [
        caller.tool_call("query", {"sql": "select 1", "marker": marks[0]}),
        caller.tool_call("query", {"sql": "drop table x", "marker": marks[1]}),
        caller.tool_call("query", {"sql": "delete from x", "marker": marks[2]}),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]

    answer = caller.post(batch, mcp_protocol_version="2025-03-26", prefer="wait=0")

    assert answer.status == 200
    found = {one["id"]: one["result"] for one in answer.body}
    reasons = [found[one["id"]]["_meta"]["holdgate/decision"].get("reason") for one in batch[:3]]
    assert reasons == [None, "blocked", "pending"]
    assert [here.upstream.markers[mark] for mark in marks] == [1, 0, 0]


def test_a_batch_is_only_for_the_revision_that_had_them(here: World) -> None:
    caller = here.caller(DAVE)

    answer = caller.post([caller.tool_call("query", {"sql": "select 1"})])

    assert answer.status == 400


def test_a_session_is_its_callers_own_and_hides_that_of_the_upstream(here: World) -> None:
    upstream = here.upstreams["sessions"]
    dave = here.caller(DAVE, "sessions").initialize()
    assert dave.session
    (theirs,) = upstream.live_sessions
    mark = marker()

    assert not dave.call("query", {"sql": "select 1", "marker": mark}).is_error
    stolen = here.caller(AGENT, "sessions")
    stranger = stolen.ask("tools/list", mcp_session_id=dave.session)
    elsewhere = here.caller(DAVE).ask("tools/list", mcp_session_id=dave.session)
    guessed = here.caller(DAVE, "sessions").ask("tools/list", mcp_session_id=theirs)

    assert [one.status for one in (stranger, elsewhere, guessed)] == [404, 404, 404]
    assert stranger.text == guessed.text.replace(str(guessed.body.get("id")), str(stranger.body.get("id")))
    assert theirs not in dave.session
    sent = [seen for seen in upstream.requests if mark.encode() in seen.body]
    assert [seen.header("mcp-session-id") for seen in sent] == [theirs]

    ended = dave.raw("DELETE")
    assert ended.status_code == 204
    assert upstream.live_sessions == set()
    assert dave.ask("tools/list").status == 404


def test_a_session_that_the_upstream_lost_is_a_404_and_can_be_begun_anew(here: World) -> None:
    upstream = here.upstreams["sessions"]
    dave = here.caller(DAVE, "sessions").initialize()
    upstream.live_sessions.clear()

    lost = dave.call("query", {"sql": "select 1", "marker": marker()})
    again = dave.initialize()

    assert lost.status == 404
    assert not again.call("query", {"sql": "select 1", "marker": marker()}).is_error


@pytest.mark.parametrize("era", ERAS)
def test_a_notification_is_passed_on_and_accepted(here: World, era: str) -> None:
    caller, mark = here.caller(DAVE, era=era), marker()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9, "reason": mark}}

    answer = caller.post(note)

    assert (answer.status, answer.text) == (202, "")
    here.upstream.wait_for(lambda it: any(mark.encode() in seen.body for seen in it.requests))


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize("era", ERAS)
def test_what_the_gateway_does_not_know_passes_untouched(here: World, era: str) -> None:
    caller, mark = here.caller(DAVE, era=era), marker()
    message = caller.tool_call("echo", {"text": "Grüße \\u0000", "marker": mark, "unknown": {"deep": [1.50, 1e3]}})
    message["params"]["futureMember"] = {"a": [True, None]}
    body = json.dumps(message, indent=1).encode()
    more = {"mcp-method": "tools/call", "mcp-name": "echo"} if era == "modern" else {}

    answer = caller.raw(content=body, **more)

    assert answer.status_code == 200, answer.text
    (seen,) = [one for one in here.upstream.requests if mark.encode() in one.body]
    assert seen.body == body


@pytest.mark.parametrize(("era", "disconnects"), [("modern", 1), ("legacy", 0)])
def test_leaving_cancels_a_running_call_of_the_modern_era_only(here: World, era: str, disconnects: int) -> None:
    mark, upstream = marker(), here.upstreams["streams"]
    upstream.hold()
    before = upstream.disconnects
    running = here.caller(DAVE, "streams", era=era).begin("slow", {"marker": mark})
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    running.leave()
    here.noticed()
    if era == "modern":
        upstream.wait_for(lambda it: it.disconnects > before)
    upstream.release()

    ends = until(lambda: _ends(here, mark), "the end of the call in the record")

    assert ends == (["call.cancelled"] if era == "modern" else ["call.result"])
    assert upstream.disconnects - before == disconnects


def _ends(here: World, mark: str) -> list[str]:
    """Return the kinds of the entries that ended the call with this marker."""
    position = "instr(p.body, CAST(? AS BLOB)) > 0" if here.stored.is_sqlite else "position(? in p.body) > 0"
    sql = (
        "SELECT last.kind FROM mcp_sessions_payload p JOIN mcp_sessions_entry e ON e.leaf_hash = p.leaf_hash "
        f"JOIN mcp_sessions_entry last ON last.call_id = e.call_id AND last.id > e.id WHERE {position} "
        "AND e.kind = 'call.intent' AND p.name = 'request'"
    )
    return [row[0] for row in here.stored.rows(sql, mark.encode())]


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize("connection", ["sessions", CONNECTION], ids=["by its server", "without a session"])
def test_a_standing_stream_is_declined_as_the_protocol_allows(here: World, connection: str) -> None:
    dave = here.caller(DAVE, connection).initialize()
    assert bool(dave.session) is (connection == "sessions")
    here.upstreams[connection].offers_stream = False

    answer = dave.raw("GET")
    here.upstreams[connection].offers_stream = True

    assert answer.status_code == 405
    assert "GET" not in answer.headers["allow"]


def test_the_upstream_gets_its_credential_and_nothing_of_the_callers(here: World) -> None:
    mark = marker()
    caller = here.caller(DAVE)
    caller.call("echo", {"text": "x", "marker": mark}, cookie="sid=7", x_forwarded_for="10.0.0.9", accept=JSON_ONLY)

    (seen,) = [one for one in here.upstream.requests if mark.encode() in one.body]
    assert seen.header("authorization") == f"Bearer {here.gateway.environment['UPSTREAM_TOKEN']}"
    assert {seen.header(name) for name in ("cookie", "x-forwarded-for", "forwarded")} == {None}
    assert caller.token.encode() not in b"".join(value for _, value in seen.headers) + seen.body


def test_somebody_without_access_sees_nothing(here: World) -> None:
    answer = here.caller(EVE).ask("tools/list")

    assert answer.status == 403


@pytest.mark.promise("intent-first")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()
