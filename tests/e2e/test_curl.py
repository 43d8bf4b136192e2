"""The program curl and nothing but JSON: what anybody can do from a shell, without a client of MCP."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests import services
from tests.people import CI, CONNECTION, DAVE
from tests.world import Speaker, World, marker

pytestmark = pytest.mark.promise("unchanged-clients")

GUARD = 60


@dataclass(frozen=True)
class Shell:
    """Somebody with a token and curl."""

    here: World
    who: Speaker = DAVE

    def call(self, sql: str, mark: str, *headers: str) -> dict[str, Any]:
        """Call the tool `query` and return the result."""
        return self.ask(CONNECTION, "query", {"sql": sql, "marker": mark}, *headers)

    def ask(self, connection: str, tool: str, arguments: dict[str, Any], *headers: str) -> dict[str, Any]:
        """Call a tool of a connection and return the result."""
        line = self.here.caller(self.who, connection)
        params = {"name": tool, "arguments": arguments}
        body = json.dumps({"jsonrpc": "2.0", "id": "shell-1", "method": "tools/call", "params": params})
        fields = [f"Authorization: Bearer {line.token}", "Content-Type: application/json", "Accept: application/json"]
        # Read from stdin: what stands on a command line can be read by every user of the machine.
        settings = "\n".join(f"header = {json.dumps(field)}" for field in [*fields, *headers])
        quiet = ["--silent", "--show-error", "--noproxy", "*", "--max-time", str(GUARD)]
        told = ["--write-out", "\n%{http_code} %{content_type}"]
        done = subprocess.run(
            [program(), *quiet, *told, "--config", "-", "--data-raw", body, line.url],
            input=settings,
            capture_output=True,
            text=True,
            timeout=GUARD,
            check=True,
        )
        answer, _, end = done.stdout.rpartition("\n")
        assert end == "200 application/json", done.stdout
        message = json.loads(answer)
        assert message["id"] == "shell-1"
        return dict(message["result"])

    def begin(self, sql: str, mark: str, *headers: str) -> Future[dict[str, Any]]:
        """Call in the background, as `&` does."""
        return self.here.aside(lambda: self.call(sql, mark, *headers))


def program() -> str:
    """Return the program curl; skip where there is none."""
    return shutil.which("curl") or services.missing("curl", "HOLDGATE_REQUIRE_CURL")


@pytest.fixture(autouse=True)
def curl() -> None:
    """Skip here, and not in the thread of a call."""
    program()


def refusal(result: dict[str, Any]) -> dict[str, Any]:
    """Return what `holdgate/decision` says of a refused call."""
    assert result["isError"]
    return dict(result["_meta"]["holdgate/decision"])


def test_an_allowed_call_is_answered_masked(here: World) -> None:
    mark = marker()
    result = Shell(here).call("select * from customers", mark)
    assert not result["isError"]
    assert [row["email"] for row in result["structuredContent"]["rows"]] == ["masked@masked.invalid"] * 2
    assert here.upstream.markers[mark] == 1


def test_a_blocked_call_says_why_and_never_gets_there(here: World) -> None:
    mark = marker()
    told = refusal(Shell(here).call("drop table customers", mark))
    assert (told["reason"], told["executed"], told["rule"]) == ("blocked", "false", "never-drop")
    assert here.upstream.markers[mark] == 0


def test_a_held_call_waits_in_silence_and_is_answered_when_approved(here: World) -> None:
    mark = marker()
    waiting = Shell(here, CI).begin("delete from customers", mark)
    (approval,) = here.asked_for(mark)
    assert here.upstream.markers[mark] == 0
    assert not waiting.done()
    here.approve(approval)
    result = waiting.result(GUARD)
    assert not result["isError"]
    assert result["_meta"]["holdgate/approval"]["id"] == approval
    assert here.upstream.markers[mark] == 1


def test_a_denied_call_is_answered_with_the_comment(here: World) -> None:
    mark = marker()
    waiting = Shell(here).begin("delete from customers", mark)
    (approval,) = here.asked_for(mark)
    here.decide(approval, "deny", comment="not during the audit")
    result = waiting.result(GUARD)
    told = refusal(result)
    assert (told["reason"], told["executed"]) == ("denied", "false")
    assert "not during the audit" in result["content"][0]["text"]
    assert here.upstream.markers[mark] == 0


def test_a_call_that_nobody_decided_in_time_is_joined_by_the_same_call(here: World) -> None:
    mark, shell = marker(), Shell(here)
    pending = shell.call("delete from customers", mark, "Prefer: wait=0")
    told, approval = refusal(pending), pending["_meta"]["holdgate/approval"]
    assert (told["reason"], told["executed"]) == ("pending", "false")
    assert told["retry_after"] > 0
    assert told["url"] == approval["url"] == f"{here.gateway.url}/approvals/{approval['id']}/"
    again = shell.call("delete from customers", mark, "Prefer: wait=0")
    assert again["_meta"]["holdgate/approval"]["id"] == approval["id"]
    here.approve(approval["id"])
    result = shell.call("delete from customers", mark)
    assert not result["isError"]
    assert result["_meta"]["holdgate/approval"]["id"] == approval["id"]
    assert here.upstream.markers[mark] == 1
    assert here.asked(mark) == []


def test_two_shells_that_send_one_key_get_one_execution(here: World) -> None:
    mark, shell = marker(), Shell(here)
    key = f"Idempotency-Key: {mark}"
    first, second = (shell.begin("delete from customers", mark, key) for _ in range(2))
    (approval,) = here.asked_for(mark)
    here.approve(approval)
    answers = [waiting.result(GUARD) for waiting in (first, second)]
    assert [answer["isError"] for answer in answers] == [False, False]
    assert here.upstream.markers[mark] == 1
    assert shell.call("delete from customers", mark, key)["isError"] is False
    assert here.upstream.markers[mark] == 1


def test_the_gateways_own_tools_are_asked_like_any_other(here: World) -> None:
    mark, shell = marker(), Shell(here)
    approval = shell.call("delete from customers", mark, "Prefer: wait=0")["_meta"]["holdgate/approval"]["id"]
    waiting = here.aside(lambda: shell.ask("gateway", "wait_for_approval", {"approval_id": approval, "seconds": 50}))
    here.approve(approval)
    told = waiting.result(GUARD)["structuredContent"]["approval"]
    assert (told["id"], told["status"]) == (approval, "approved")
    assert "exactly the same call again" in told["next_step"]
    assert here.upstream.markers[mark] == 0
