"""The gateway's own tools at /mcp/gateway, through a real gateway process, in both eras."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.line import JSON_ONLY, Answer, Line
from tests.people import AGENT, CI, CONNECTION, DAVE, EVE, GRACE, Program
from tests.world import World, marker, until

OWN = "gateway"
every_era = pytest.mark.parametrize("era", ["legacy", "modern"])
TOOLS = ["list_connections", "request_access", "list_my_approvals", "wait_for_approval", "explain_decision"]


def said(answer: Answer) -> dict[str, Any]:
    """Return what a tool said; the text says the same."""
    assert not answer.is_error, answer.text
    structured = dict(answer.result["structuredContent"])
    assert json.loads(answer.said) == structured
    return structured


def pending(line: Line, mark: str, **meta: Any) -> Answer:
    """Make a call that a rule holds, and leave at once."""
    answer = line.call("query", {"sql": "delete from x", "marker": mark}, meta={"holdgate/wait": 0, **meta})
    assert answer.outcome == ("pending", "false"), answer.text
    return answer


@every_era
def test_any_known_caller_finds_the_tools_with_their_schemas(here: World, era: str) -> None:
    tools = here.caller(EVE, OWN, era=era).ask("tools/list").result["tools"]

    assert [tool["name"] for tool in tools] == TOOLS
    for tool in tools:
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        assert tool["annotations"]["readOnlyHint"] is (tool["name"] != "request_access")


def test_the_handshake_of_the_older_era_needs_no_session(here: World) -> None:
    line = here.caller(DAVE, OWN).initialize()

    assert line.session is None
    assert line.ask("ping").result == {}
    assert [line.raw(verb).status_code for verb in ("GET", "DELETE")] == [405, 400]


def test_the_newer_era_is_told_what_the_server_speaks(here: World) -> None:
    found = here.caller(DAVE, OWN, era="modern").ask("server/discover").result

    assert found["supportedVersions"] == ["2026-07-28"]
    assert (found["resultType"], found["cacheScope"], found["serverInfo"]["name"]) == (
        "complete",
        "private",
        "holdgate",
    )


@pytest.mark.promise("fail-closed")
def test_nobody_without_a_token_is_answered(here: World) -> None:
    answer = Line(here.gateway.url, OWN, "no.token.here").ask("tools/list")

    assert answer.status == 401
    assert f"/mcp/{OWN}" in answer.headers["www-authenticate"]


@every_era
def test_a_caller_is_told_of_their_connections_and_of_no_other(here: World, era: str) -> None:
    dave = said(here.caller(DAVE, OWN, era=era).call("list_connections", {}))
    eve = said(here.caller(EVE, OWN, era=era).call("list_connections", {}))

    known = {one["name"]: one for one in dave["connections"]}
    assert {CONNECTION, "narrow"} <= set(known)
    assert "closed" not in known
    assert eve["connections"] == []
    assert known[CONNECTION]["url"] == f"{here.gateway.url}/mcp/{CONNECTION}"
    assert known["narrow"]["tools"] == ["query", "echo"]
    rules = {rule["name"]: rule for rule in known["narrow"]["rules"]}
    assert (rules["no-failing"]["action"], rules["no-failing"]["tools"], rules["no-failing"]["when"]) == (
        "deny",
        ["fail"],
        "always",
    )
    held = {rule["name"]: rule for rule in known[CONNECTION]["rules"]}["writes-need-a-dba"]
    assert (held["action"], held["when"], held["who_decides"]) == ("hold", "sometimes", "1 of dba")
    assert "no-failing" not in {rule["name"] for rule in known[CONNECTION]["rules"]}


@every_era
def test_requests_are_listed_for_who_made_them_alone(here: World, era: str) -> None:
    mark = marker()
    approval = pending(here.caller(DAVE, era=era), mark).approval["id"]

    mine = said(here.caller(DAVE, OWN, era=era).call("list_my_approvals", {"status": "pending", "limit": 50}))
    others = [said(here.caller(who, OWN, era=era).call("list_my_approvals", {})) for who in (EVE, GRACE)]

    found = next(one for one in mine["approvals"] if one["id"] == approval)
    assert found["arguments"]["marker"] == mark
    assert (found["connection"], found["tool"], found["status"]) == (CONNECTION, "query", "pending")
    assert "exactly the same call again" in found["next_step"]
    assert [one["approvals"] for one in others] == [[], []]


def test_a_list_goes_on_at_its_cursor(here: World) -> None:
    ids = [pending(here.caller(AGENT), marker()).approval["id"] for _ in range(3)]
    caller = here.caller(AGENT, OWN)

    first = said(caller.call("list_my_approvals", {"limit": 2}))
    rest = said(caller.call("list_my_approvals", {"limit": 2, "cursor": first["next"]}))

    assert [one["id"] for one in (*first["approvals"], *rest["approvals"])][:3] == ids[::-1]


@every_era
@pytest.mark.promise("bound-decision")
def test_a_wait_ends_with_the_decision_and_the_same_call_then_runs(here: World, era: str) -> None:
    mark, line = marker(), here.caller(DAVE, era=era)
    approval = pending(line, mark).approval["id"]
    meta = {"progressToken": "w"}
    waiting = here.caller(DAVE, OWN, era=era).begin("wait_for_approval", {"approval_id": approval}, meta=meta)
    assert waiting.approval_id == approval  # the first sign of life names it

    here.approve(approval)

    answer = waiting.answer()
    now = said(answer)["approval"]
    assert (now["id"], now["status"], now["executed"]) == (approval, "approved", "false")
    assert answer.notes[0]["params"]["progressToken"] == "w"
    assert here.upstream.markers[mark] == 0
    assert not line.call("query", {"sql": "delete from x", "marker": mark}).is_error
    assert here.upstream.markers[mark] == 1
    after = said(here.caller(DAVE, OWN, era=era).call("wait_for_approval", {"approval_id": approval, "seconds": 0}))
    assert (after["approval"]["status"], after["approval"]["executed"]) == ("executed", "true")


@every_era
def test_a_wait_that_is_over_first_says_that_the_request_is_pending(here: World, era: str) -> None:
    approval = pending(here.caller(DAVE, era=era), marker()).approval["id"]
    arguments = {"approval_id": approval, "seconds": 1}

    answer = here.caller(DAVE, OWN, era=era).call("wait_for_approval", arguments, accept=JSON_ONLY)

    assert answer.headers["content-type"] == "application/json"
    told = said(answer)
    assert told["approval"]["status"] == "pending"
    assert 1 <= told["waited"] < 20


@every_era
def test_a_denied_request_tells_the_comment(here: World, era: str) -> None:
    approval = pending(here.caller(DAVE, era=era), marker()).approval["id"]
    here.decide(approval, "deny", comment="ask zoe@example.com first")

    told = said(here.caller(DAVE, OWN, era=era).call("explain_decision", {"approval_id": approval}))

    assert (told["verdict"], told["reason"], told["approval"]["status"]) == ("hold", "denied", "denied")
    assert "ask [email] first" in told["message"]
    assert "Do not retry" in told["next_step"]


@every_era
@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("wait_for_approval", {"approval_id": "{id}"}),
        ("explain_decision", {"approval_id": "{id}"}),
        ("explain_decision", {"call_id": "{call}"}),
        ("wait_for_approval", {"approval_id": "no-such-id"}),
        ("wait_for_approval", {}),
        ("wait_for_approval", {"approval_id": "x", "seconds": -1}),
        ("wait_for_approval", {"approval_id": "x", "unknown": 1}),
        ("explain_decision", {}),
        ("explain_decision", {"connection": CONNECTION}),
        ("list_my_approvals", {"status": "wished"}),
        ("list_my_approvals", {"connection": "a\0b"}),
        ("list_my_approvals", {"cursor": "\0"}),
        ("wait_for_approval", {"approval_id": "x\0"}),
        ("explain_decision", {"call_id": "'; drop table x; --"}),
        ("explain_decision", {"connection": "\0", "tool": "query"}),
    ],
)
def test_ids_of_others_and_wrong_arguments_are_told_as_errors(
    here: World, era: str, tool: str, arguments: dict[str, Any]
) -> None:
    of_daves = pending(here.caller(DAVE), marker())
    known = {"{id}": of_daves.approval["id"], "{call}": of_daves.decision["call_id"]}
    given = {name: known.get(str(value), value) for name, value in arguments.items()}

    answer = here.caller(GRACE, OWN, era=era).call(tool, given)

    assert answer.is_error
    assert answer.outcome == ("invalid_request", "false")
    assert "structuredContent" not in answer.result
    assert CONNECTION not in answer.text


@every_era
def test_a_blocked_call_is_explained_to_who_made_it(here: World, era: str) -> None:
    blocked = here.caller(DAVE, era=era).call("query", {"sql": "drop table x", "marker": marker()})

    told = said(here.caller(DAVE, OWN, era=era).call("explain_decision", {"call_id": blocked.decision["call_id"]}))

    assert (told["verdict"], told["reason"], told["executed"]) == ("deny", "blocked", "false")
    assert [rule["name"] for rule in told["rules"]] == ["never-drop"]
    assert "Changing the schema is not allowed here." in told["message"]


def test_an_allowed_call_is_explained(here: World) -> None:
    allowed = here.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()})

    told = said(here.caller(DAVE, OWN).call("explain_decision", {"call_id": allowed.decision["call_id"]}))

    assert (told["verdict"], told["reason"], told["executed"]) == ("allow", None, "true")


@every_era
@pytest.mark.parametrize(
    ("sql", "verdict", "rules"),
    [
        ("select 1", "allow", []),
        ("drop table x", "deny", ["never-drop"]),
        ("delete from x", "hold", ["writes-need-a-dba"]),
    ],
)
def test_what_would_happen_is_said_and_nothing_happens(
    here: World, era: str, sql: str, verdict: str, rules: list[str]
) -> None:
    mark = marker()
    plan = {"connection": CONNECTION, "tool": "query", "arguments": {"sql": sql, "marker": mark}}

    told = said(here.caller(DAVE, OWN, era=era).call("explain_decision", plan))

    assert (told["verdict"], [rule["name"] for rule in told["rules"]]) == (verdict, rules)
    assert (told["who_decides"] == "1 of dba") is (verdict == "hold")
    assert here.upstream.markers[mark] == 0
    assert here.asked(mark) == []


@pytest.mark.promise("fail-closed")
def test_connections_that_one_may_not_use_are_explained_like_those_that_do_not_exist(here: World) -> None:
    caller = here.caller(EVE, OWN)

    closed, made_up = (
        said(caller.call("explain_decision", {"connection": name, "tool": "query"})) for name in ("closed", "no-such")
    )

    assert closed == made_up
    assert (closed["verdict"], closed["reason"]) == ("deny", "forbidden")


@every_era
def test_unknown_tools_and_methods_are_errors_of_the_protocol(here: World, era: str) -> None:
    line = here.caller(DAVE, OWN, era=era)

    tool, method, resource = (
        line.call("drop_everything", {}),
        line.ask("prompts/list"),
        line.ask("resources/read", {"uri": "file:///etc/passwd"}),
    )

    assert [one.body["error"]["code"] for one in (tool, method, resource)] == [-32602, -32601, -32601]
    assert (method.status, resource.status) == ((404, 404) if era == "modern" else (200, 200))


def test_each_question_is_recorded_as_a_call(here: World) -> None:
    answer = here.caller(CI, OWN).call("explain_decision", {"connection": CONNECTION, "tool": "query"})

    told = here.call_document(answer.decision["call_id"])
    assert (told["connection"], told["tool"], told["executed"]) == (OWN, "explain_decision", "true")
    assert answer.decision["verdict"] == "allow"


def test_who_asks_too_often_is_told_to_slow_down(here: World) -> None:
    hasty = here.caller(Program("agent-hasty"), OWN)
    # In one batch, so that no slow machine is slow enough.
    pings = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(100)]

    answers = hasty.raw(content=json.dumps(pings).encode(), mcp_protocol_version="2025-03-26").json()

    refused = [one["error"]["data"]["reason"] for one in answers if "error" in one]
    assert 20 < len(refused) < 60, answers[:3]
    assert set(refused) == {"rate_limited"}
    later = hasty.ask("ping")
    assert later.status == 200
    assert "result" in later.body or int(later.headers["retry-after"]) >= 1
    assert here.caller(DAVE, OWN).ask("ping").result == {}


def test_who_leaves_a_wait_ends_it(here: World) -> None:
    approval = pending(here.caller(DAVE), marker()).approval["id"]
    waiting = here.caller(DAVE, OWN).begin("wait_for_approval", {"approval_id": approval, "seconds": 600})
    waiting.comment()
    ended = "SELECT count(*) FROM mcp_sessions_entry WHERE kind = 'call.cancelled' AND connection = ?"
    before = here.stored.value(ended, OWN)

    waiting.leave()

    until(lambda: here.stored.value(ended, OWN) > before, "the end of the wait in the record")


@pytest.mark.promise("intent-first")
def test_the_record_tells_the_same_story(here: World) -> None:
    here.assert_history()
