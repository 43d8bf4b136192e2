"""`manage.py call` on the wire: exit codes, streams, joining, and what it never does."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.client.command import Options, call, gateway_url
from proxy.management.commands.call import Command
from tests.house import sources
from tests.scripted_gateway import (
    CUT,
    Scripted,
    ScriptedGateway,
    refusal,
    scripted_gateway,
    tool_result,
)

TOKEN = "a-token-of-the-pipeline"
ENVIRON = {"HOLDGATE_TOKEN": TOKEN}


def run(gateway: ScriptedGateway, **changes: Any) -> tuple[int, str, str]:
    """Call `query` through the gateway; return exit code, stdout and stderr."""
    given = {"arguments": {"sql": "SELECT 1"}, "wait": 0.0, "key": "k1"}
    options = Options(url=gateway.url, connection="orders-db", tool="query", **{**given, **changes})
    out, err = io.StringIO(), io.StringIO()
    code = call(options, ENVIRON, out=out, err=err)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (tool_result("3 rows"), 0),
        (tool_result("syntax error", is_error=True), 1),
        (Scripted({"jsonrpc": "2.0", "id": 2, "error": {"code": -32000, "message": "no"}}), 1),
        (Scripted({"reason": "unauthenticated", "executed": "false", "message": "no"}, status=401), 2),
        (Scripted({"reason": "forbidden", "executed": "false", "message": "no"}, status=403), 2),
        (Scripted(None, status=404), 2),
        (refusal("forbidden"), 2),
        (refusal("credential_unavailable"), 2),
        (refusal("idempotency_conflict"), 2),
        (refusal("denied"), 3),
        (refusal("revoked"), 3),
        (refusal("cancelled"), 3),
        (refusal("expired"), 4),
        (refusal("lapsed"), 4),
        (refusal("pending"), 4),
        (refusal("blocked"), 5),
        (refusal("tool_changed"), 5),
        (refusal("outcome_unknown", "unknown"), 6),
        (refusal("upstream_timeout", "unknown"), 6),
        (refusal("upstream_invalid", "unknown"), 6),
        (refusal("upstream_invalid", "true"), 1),
        (refusal("masking_failed", "true"), 1),
    ],
)
def test_the_exit_code_says_what_came_of_the_call(answer: Scripted, code: int) -> None:
    with scripted_gateway([answer]) as gateway:
        assert run(gateway)[0] == code


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.promise("unchanged-clients")
def test_the_result_is_all_that_stdout_gets_in_both_eras(era: Any) -> None:
    with scripted_gateway([tool_result("3 rows")], era) as gateway:
        assert run(gateway) == (0, "3 rows\n", "")


def test_a_refusal_goes_to_stderr_with_whether_it_was_executed() -> None:
    with scripted_gateway([refusal("blocked", rule="never-drop")]) as gateway:
        code, out, err = run(gateway)

    assert (code, out) == (5, "")
    assert "blocked" in err
    assert "Executed: false" in err


def test_the_call_carries_wait_key_and_reason() -> None:
    with scripted_gateway([tool_result("done")]) as gateway:
        run(gateway, wait=90.0, reason="Größe\nprüfen")

    headers = gateway.calls[0].headers
    assert headers["prefer"] in {"wait=90", "wait=89"}
    assert headers["idempotency-key"] == "k1"
    assert headers["holdgate-reason"].encode("latin-1").decode() == "Größe prüfen"
    assert headers["mcp-name"] == "query"


def test_a_pending_call_is_sent_again_with_its_key_and_its_approval_until_it_is_done() -> None:
    pending = refusal("pending", approval={"id": "a7", "status": "pending", "retry_after": 0})
    with scripted_gateway([pending, tool_result("2 rows deleted")]) as gateway:
        code, out, _ = run(gateway, wait=60.0)

    assert (code, out) == (0, "2 rows deleted\n")
    first, second = gateway.calls
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert "holdgate-approval" not in first.headers
    assert second.headers["holdgate-approval"] == "a7"
    assert first.message["params"]["arguments"] == second.message["params"]["arguments"]


@pytest.mark.promise("nothing-lost")
def test_a_broken_connection_is_joined_with_the_same_key() -> None:
    with scripted_gateway([CUT, tool_result("done")]) as gateway:
        code, out, err = run(gateway, wait=60.0)

    assert (code, out) == (0, "done\n")
    assert "Trying again" in err
    assert [came.headers["idempotency-key"] for came in gateway.calls] == ["k1", "k1"]


def test_a_call_that_was_cut_and_is_then_refused_at_the_door_has_an_unknown_outcome() -> None:
    """The 401 speaks of the second attempt; what came of the first nobody said."""
    unauthenticated = Scripted({"reason": "unauthenticated", "executed": "false", "message": "no"}, status=401)
    with scripted_gateway([CUT, unauthenticated]) as gateway:
        assert run(gateway, wait=60.0)[0] == 6


def test_while_it_is_held_the_person_at_the_terminal_reads_who_decides_and_where() -> None:
    with scripted_gateway([refusal("denied", notes=("Waiting for approval a7 by dba (0 s)",))]) as gateway:
        gateway.approvals = [_approval(gateway, "b8"), _approval(gateway, "a7"), _approval(gateway, "c9")]
        code, out, err = run(gateway)

    assert (code, out) == (3, "")
    assert "HELD: query waits for approval a7 (rule deletes-need-a-dba)" in err
    assert "1 of dba; and 1 of ciso" in err
    assert "b8" not in err
    assert f"{gateway.url}/approvals/a7/" in err


def _approval(gateway: ScriptedGateway, name: str) -> dict[str, Any]:
    """One of several requests of the same job for the same tool."""
    return {
        "id": name,
        "tool": "query",
        "rule": "deletes-need-a-dba",
        "url": f"{gateway.url}/approvals/{name}/",
        "require": {"each": [{"any_of": [{"groups": ["dba"], "count": 1}]}, {"all_of": [{"groups": ["ciso"]}]}]},
        "expires_at": "2999-01-01T00:00:00Z",
    }


def test_who_gives_up_waiting_reads_how_to_collect_it_later() -> None:
    with scripted_gateway([refusal("pending", approval={"id": "a7"})]) as gateway:
        code, _, err = run(gateway, key="clean-up-7")

    assert code == 4
    assert "--idempotency-key clean-up-7" in err


def test_a_program_reads_what_came_of_the_call_as_json() -> None:
    meta: dict[str, Any] = {"holdgate/decision": {"call_id": "c1"}}
    done = tool_result("3 rows", **meta)
    denied = refusal("denied", approval={"id": "a7", "url": "https://gateway/approvals/a7/"})
    with scripted_gateway([done, denied]) as gateway:
        first, second = (json.loads(run(gateway, as_json=True)[1]) for _ in range(2))

    assert (first["exit_code"], first["executed"], first["reason"], first["call_id"]) == (0, "true", None, "c1")
    assert first["result"]["content"][0]["text"] == "3 rows"
    assert (second["exit_code"], second["executed"], second["reason"]) == (3, "false", "denied")
    assert (second["approval"], second["url"]) == ("a7", "https://gateway/approvals/a7/")
    assert (second["result"], second["idempotency_key"]) == (None, "k1")
    assert set(first) == set(second)


def test_a_program_reads_json_where_no_gateway_answers_too() -> None:
    options = Options(
        url="http://127.0.0.1:1", connection="orders-db", tool="query", arguments={}, wait=0.0, as_json=True
    )
    out = io.StringIO()

    assert call(options, {}, out=out, err=io.StringIO()) == 2
    told = json.loads(out.getvalue())
    assert (told["exit_code"], told["executed"], told["result"]) == (2, "false", None)


def test_messages_of_others_cannot_move_the_terminal() -> None:
    with scripted_gateway([refusal("blocked", message="\x1b[2Jgone\u202e")]) as gateway:
        _, _, err = run(gateway)

    assert "\x1b" not in err
    assert "\u202e" not in err


@pytest.mark.promise("secrets-stay")
def test_the_token_is_never_printed() -> None:
    for answer in (tool_result("done"), refusal("blocked"), Scripted(None, status=401)):
        with scripted_gateway([answer]) as gateway:
            _, out, err = run(gateway)
        assert TOKEN not in out + err


def test_arguments_that_a_modern_server_wants_in_headers_are_mirrored() -> None:
    properties = {
        "sql": {"type": "string"},
        "region": {"type": "string", "x-mcp-header": "Region"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
    }
    with scripted_gateway([tool_result("done")]) as gateway:
        gateway.tools = [{"name": "query", "inputSchema": {"type": "object", "properties": properties}}]
        run(gateway, arguments={"sql": "SELECT 1", "region": "Köln", "dry": True})

    headers = gateway.calls[0].headers
    assert headers["mcp-param-region"] == "=?base64?S8O2bG4=?="
    assert headers["mcp-param-dry"] == "true"


def test_a_redirect_is_not_followed() -> None:
    elsewhere = Scripted(None, status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    with scripted_gateway([elsewhere]) as gateway:
        assert run(gateway)[0] == 2
    assert len(gateway.calls) == 1


def test_text_with_a_line_separator_survives_the_event_stream() -> None:
    answer = tool_result("one\u2028two")
    with scripted_gateway([Scripted(answer.body, notes=("working",))]) as gateway:
        assert run(gateway)[1] == "one\u2028two\n"


@pytest.mark.parametrize("address", ["", "ftp://x", "http://", "http://user:secret@x", "http://x?y=1"])
def test_what_is_no_address_of_a_gateway_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        gateway_url(address)


# The second needs of all that is installed here httpx alone; import-linter holds it to that.
@pytest.mark.parametrize("program", [[str(sources.ROOT / "manage.py")], ["-m", "proxy.client"]], ids=str)
def test_the_command_needs_no_installation_and_leaves_none(program: list[str], tmp_path: Path) -> None:
    with scripted_gateway([tool_result("3 rows")]) as gateway:
        base = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
        done = subprocess.run(
            [sys.executable, *program, "call", "orders-db", "query", "--wait", "0"],
            cwd=tmp_path,
            env={**base, "PYTHONPATH": str(sources.ROOT), "HOLDGATE_URL": gateway.url, "HOLDGATE_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stdout, done.stderr) == (0, "3 rows\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["orders-db", "query", "--args", "[1]"], "JSON object"),
        (["orders-db", "query", "--args", '{"a": 1, "a": 2}'], "not JSON that the gateway accepts"),
        (["orders-db", "query", "--wait", "soon"], "duration"),
        (["orders-db", "query"], "HOLDGATE_URL"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "call", *arguments])

    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert complaint in err
    assert out == ""
