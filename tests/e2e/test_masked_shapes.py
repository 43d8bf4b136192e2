"""Every shape in which a server can say something, with the same few canaries in it; one gateway, one upstream.

Whatever the shape: the caller does not get them, nothing that is written down holds them, and what the record counts
is what was hidden.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import jsonschema
import pytest

from sessions import leaf as leaves
from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import leaks
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.line import Answer
from tests.masked_shapes import (
    CALL,
    CARD,
    EMAIL,
    KEY,
    MASKING,
    MODERN,
    PLANTED,
    PNG,
    SHAPES,
    TASK,
    TEXT,
    TYPED,
    VALUES,
    newest_hits,
    note,
    of_task,
    text,
    tool,
)
from tests.people import CAROL, CONNECTION, DAVE, EVE, GRACE
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("masked-everywhere")

SECRETS = {
    "OTHER_UPSTREAM": "upstream-of-others-Zq7vKx2m",
    "SLACK_BOT": "slack-bot-token-canary-81",
    "SLACK_SIGN": "slack-signing-canary-4f2c",
    "HOOK_KEY": "hook-key-canary-77aa",
    "TEAMS_ADDRESS": "teams-address-canary-12",
    "HOLDGATE_EMAIL_URL": "smtp://mailer:mail-password-canary@127.0.0.1:2525",
    "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET,
    "HOLDGATE_METRICS_TOKEN": "metrics-token-canary-33",
    "HOLDGATE_SECRET_KEY": "django-secret-key-canary-" + "x" * 40,
}
DEEP = json.loads("[" * 205 + f'"{KEY}"' + "]" * 205)
CHANNELS = {
    "slack": {"bot_token": "env:SLACK_BOT", "signing_secret": "env:SLACK_SIGN", "mode": "http"},
    "email": {"from": "holdgate@example.com"},
    "webhooks": {"ops": {"url": "https://127.0.0.1:1/x", "secret": "env:HOOK_KEY"}},
    "teams": {"ops": {"url": "env:TEAMS_ADDRESS"}},
}


@dataclass
class Stage:
    """The gateway, and a server that says what a test hands it."""

    here: World

    def ask(
        self,
        asked: tuple[str, dict[str, Any]],
        said: list[dict[str, Any]],
        era: str = "legacy",
        who: Any = DAVE,
        tool: str = "echo",
    ) -> Answer:
        """Ask something to which the server says that, as one of the cast; of a task, of one of that tool."""
        method, params = asked
        if "taskId" in params:
            params = {**params, "taskId": self.task(era, who, tool)}
        self.here.upstream.script = lambda message: said if message["method"] == method and said else None
        try:
            caller = self.here.caller(who, era=era)
            return caller.post(caller.message(method, {**params, "_meta": {"progressToken": "tok"}}))
        finally:
            self.here.upstream.script = None

    @property
    def text(self) -> str:
        """The configuration as it was in the beginning."""
        return (self.here.gateway.folder / "holdgate.yaml").read_text(encoding="utf-8")

    def publish(self, text: str) -> None:
        """Bring a configuration into force."""
        headers = {"content-type": "application/yaml"}
        answer = self.here.api(DAVE, "PUT", "policy/", content=text, headers=headers)
        assert answer.status_code == 200, answer.text

    def task(self, era: str, who: Any, tool: str) -> str:
        """Let a call become a task, and return the handle of its id."""
        made = {"resultType": "task", **TASK} if era == "modern" else {"task": TASK}
        begun = self.ask((CALL[0], {**CALL[1], "name": tool, "task": {}}), [{"result": made}], era, who).result
        return str(begun["taskId"] if era == "modern" else begun["task"]["taskId"])

    def entries(self, *kinds: str) -> list[leaves.Leaf]:
        """Return what the record says, newest last."""
        rows = self.here.stored.rows("SELECT leaf FROM mcp_sessions_entry ORDER BY id")
        return [leaf for row in rows if (leaf := leaves.decode(row[0])).kind in kinds]


@pytest.fixture(scope="module")
def stage(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        upstream.tools += [
            {"name": name, "inputSchema": {"type": "object"}, "outputSchema": typed} for name, typed in TYPED.items()
        ]
        folder = tmp_path_factory.mktemp("shapes")
        access = [{"groups": ["corp/engineering", "security"]}]
        blocks = spelled_out(
            connections={
                CONNECTION: connection(
                    upstream.url,
                    access=access,
                    pin_tools=False,
                    max_answer="64MiB",
                    server_requests=["sampling", "elicitation", "roots"],
                ),
                "never-called": connection(upstream.url, credential={"header": "X-Key", "value": "env:OTHER_UPSTREAM"}),
            },
            rules=[word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())],
            masking=MASKING,
            channels=CHANNELS,
        )
        text = people.config_yaml(issuer.url, "", **blocks)
        here = stack.enter_context(
            world(
                folder,
                issuer,
                {CONNECTION: upstream},
                text,
                HOLDGATE_MASKING_TIMEOUT="0.001",
                HOLDGATE_LOGIN_CORP_CLIENT_ID=CLIENT_ID,
                **SECRETS,
            )
        )
        here.start()
        yield Stage(here)
        here.gateway.stop()


def everything(answer: Answer) -> bytes:
    """Return all that came back, with what is base64 in it readable."""
    blobs = [part for part in answer.text.replace('"', " ").replace("\\", " ").split() if len(part) > 20]
    readable = [base64.b64decode(part + "==", validate=False) for part in blobs if part.isascii() and _is_base64(part)]
    return b"\n".join([answer.text.encode(), *readable])


def _is_base64(part: str) -> bool:
    return len(part.rstrip("=")) % 4 != 1 and all(char.isalnum() or char in "+/=" for char in part)


@pytest.mark.parametrize(
    ("name", "era"), [*((name, "legacy") for name in SHAPES), *((name, "modern") for name in MODERN)]
)
def test_a_shape_leaves_the_gateway_without_what_is_planted_in_it(stage: Stage, name: str, era: str) -> None:
    asked, said = (SHAPES if era == "legacy" else MODERN)[name]
    assert list(leaks(PLANTED.items(), [("what the server says", json.dumps(said).encode())])), "nothing is planted"

    answer = stage.ask(asked, said, era)

    assert answer.status == 200, answer.text
    assert "masking_failed" not in answer.text
    assert not list(leaks(PLANTED.items(), [("the answer", everything(answer))]))
    assert b"[api_key]" in everything(answer) or b"[email]" in everything(answer) or b"0" in everything(answer)
    last = [leaf for leaf in stage.entries("call.result", "call.message") if leaf.facts.get("masked")][-1]
    assert last.call == stage.entries("call.result")[-1].call, "what was hidden was not counted"


def test_what_is_for_correlation_and_state_comes_back_as_it_was(stage: Stage) -> None:
    asked, said = MODERN["questions of the server"]
    answer = stage.ask(asked, said, "modern")

    # The state leaves sealed, and comes back to the server as it was.
    state = said[0]["result"]["requestState"]
    stage.ask((asked[0], {**asked[1], "requestState": answer.result["requestState"]}), said, "modern")
    assert stage.here.upstream.calls[-1].message["params"]["requestState"] == state
    assert set(answer.result["inputRequests"]) == {"a", "b", "c"}
    progress = stage.ask(*SHAPES["progress"]).notes[0]["params"]
    assert (progress["progressToken"], progress["message"].split()[0]) == ("tok", "[email]")


def test_images_are_left_alone_also_the_text_in_them(stage: Stage) -> None:
    answer = stage.ask(CALL, tool({"type": "image", "data": PNG, "mimeType": "image/png"}))
    assert answer.result["content"][0]["data"] == PNG


def test_results_satisfy_the_tools_output_schema(stage: Stage) -> None:
    said = tool(text(json.dumps(VALUES)), structuredContent=VALUES)
    answer = stage.ask(("tools/call", {"name": "typed", "arguments": {}}), said)

    served = {one["name"]: one for one in stage.here.caller(DAVE).ask("tools/list").result["tools"]}["typed"]
    structured = answer.result["structuredContent"]
    for schema in (TYPED["typed"], served["outputSchema"]):
        jsonschema.validate(
            structured, schema, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker()
        )
    assert set(VALUES) - set(structured) == {"odd"}, "only what has no harmless value is left out"
    assert structured["plain"] == "[email]"
    assert not {str(one) for one in VALUES.values()} & {
        str(structured[name]) for name in structured if name != "active"
    }
    twin = json.loads(answer.result["content"][0]["text"])
    assert (twin["mail"], twin["birth"]) == ("[email]", "[birth]")


def test_an_answer_that_cannot_satisfy_it_is_withheld_and_says_so(stage: Stage) -> None:
    said = tool(text(), structuredContent={"mail": EMAIL})
    answer = stage.ask(("tools/call", {"name": "impossible", "arguments": {}}), said)

    assert answer.outcome == ("masking_failed", "true")
    assert not list(leaks(PLANTED.items(), [("the answer", everything(answer))]))
    assert stage.entries("call.result", "call.failed")[-1].facts["executed"] == "true"


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_result_of_a_task_satisfies_the_schema_of_the_tool_that_made_it(stage: Stage, era: str) -> None:
    said = tool(text(), structuredContent=VALUES)[0]["result"]
    answer = stage.ask(*of_task(era, said), era, tool="typed")
    result = answer.result if era == "legacy" else answer.result["result"]
    for structured in (result["structuredContent"], answer.notes[-1]["params"]["result"]["structuredContent"]):
        jsonschema.validate(
            structured, TYPED["typed"], jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker()
        )
        assert set(VALUES) - set(structured) == {"odd"}
        assert structured["mail"] != EMAIL

    said = tool(text(), structuredContent={"mail": EMAIL})[0]["result"]
    answer = stage.ask(*of_task(era, said), era, tool="impossible")
    assert answer.outcome == ("masking_failed", "true")
    assert not list(leaks(PLANTED.items(), [("the answer", everything(answer))]))


def test_pseudonyms_join_over_answers_and_types(stage: Stage) -> None:
    def shown(customer: Any) -> Any:
        rows = {"rows": [{"customer": customer}, {"customer": customer}]}
        found = stage.ask(CALL, tool(structuredContent=rows)).result["structuredContent"]["rows"]
        assert found[0] == found[1]
        return found[0]["customer"]

    assert shown("c-1") == shown("c-1") != shown("c-2")
    assert shown(4711) == shown(4711) != shown(4712)
    assert isinstance(shown(4711), int)


def test_whoever_is_excepted_sees_it_and_the_record_says_who_saw_how_much(stage: Stage) -> None:
    said = note("message", level="info", data=EMAIL)[:1] + tool(text(f"{EMAIL} {KEY} {CARD}"), text(EMAIL))
    answer = stage.ask(CALL, said, who=CAROL)

    assert answer.said.splitlines() == [f"{EMAIL} [api_key] ****5100", EMAIL]
    assert answer.notes[0]["params"]["data"] == EMAIL
    told, result = stage.entries("call.message", "call.result")[-2:]
    assert told.facts["exposed"] == ["email:1"]
    assert (result.facts["exposed"], result.facts["masked"]) == (["email:2"], ["api_key:1", "credit_card:1"])
    document = stage.here.api(GRACE, "GET", f"calls/{result.call}/").json()
    assert (document["exposed"], document["masked"]) == ({"email": 3}, {"api_key": 1, "credit_card": 1})
    with stage.here.browser(GRACE) as browser:
        found = browser.get("/sessions/", params={"connection": CONNECTION, "caller": result.actor})
        assert found.text.count('class="card"') == 1, "one session of this caller"
        page = browser.get(f"/sessions/{result.session}/").text
    assert "whom a rule excepts" in page
    assert "email 2×" in page
    assert EMAIL not in page
    metrics = {"authorization": f"Bearer {SECRETS['HOLDGATE_METRICS_TOKEN']}"}
    said_of_it = httpx.get(f"{stage.here.gateway.url}/metrics", headers=metrics, trust_env=False).text
    assert f'holdgate_exposed_total{{connection="{CONNECTION}",name="email"}}' in said_of_it


def test_values_that_are_split_over_blocks_and_events_are_hidden(stage: Stage) -> None:
    cut = len(EMAIL) // 2
    blocks = stage.ask(
        CALL, tool(text(f"to {EMAIL[:cut]}"), text(f"{EMAIL[cut:]} and {KEY[:9]}"), text(f"{KEY[9:]} end"))
    )
    assert blocks.said == "to [email]\n and [api_key]\n end"

    parts = [f"paid with {CARD[:9]}", f"{CARD[9:]} by ", f"{EMAIL[:cut]}", f"{EMAIL[cut:]}", "done"]
    for method, member in (("progress", "message"), ("message", "data")):
        told = [{"progressToken": "tok", "progress": at, member: part} for at, part in enumerate(parts)]
        said = [{"method": f"notifications/{method}", "params": one} for one in told]
        answer = stage.ask(CALL, [*said, *tool(text("x"))])
        heard = [one["params"][member] for one in answer.notes]
        assert heard == ["paid with ****5100", " by ", "[email]", "", "done"]
        assert newest_hits(stage.entries("call.message")) == ["credit_card:1", "email:1"]


@pytest.mark.promise("rule-at-once")
@pytest.mark.parametrize(
    ("old", "new"), [("except_groups:\n  - security", "except_groups: []"), (CAROL.email, EVE.email)]
)
def test_changed_rules_and_groups_govern_the_next_message_of_a_running_stream(stage: Stage, old: str, new: str) -> None:
    here, before = stage.here, len(stage.entries("call.message"))
    events = [{"method": "notifications/message", "params": {"data": f"{EMAIL} {at}"}} for at in ("first", "second")]
    here.upstream.hold()
    asked = here.aside(lambda: stage.ask(CALL, [events[0], {"until": "released"}, events[1], *tool(text())], who=CAROL))
    until(lambda: len(stage.entries("call.message")) > before, "the first event")
    try:
        assert old in stage.text
        stage.publish(stage.text.replace(old, new))
        here.upstream.release()
        answer = asked.result(40)
    finally:
        here.upstream.release()
        stage.publish(stage.text)

    assert [one["params"]["data"] for one in answer.notes] == [f"{EMAIL} first", "[email] second"]
    assert answer.said.startswith("[email] paid")
    assert [leaf.facts.get("exposed") for leaf in stage.entries("call.message")[-2:]] == [["email:1"], None]


def test_one_message_may_come_in_many_lines_of_an_event(stage: Stage) -> None:
    assert stage.ask(CALL, [{**tool(text())[0], "indent": 1}]).said.startswith("[email] paid")


def test_arguments_are_written_down_masked_and_counted(stage: Stage) -> None:
    arguments = {"text": TEXT, "marker": marker(), "customer": 4711}
    stage.ask(("tools/call", {"name": "query", "arguments": arguments}), [])
    assert stage.entries("call.intent")[-1].facts["masked"] == ["api_key:1", "credit_card:1", "customer:1", "email:1"]


@pytest.mark.promise("secrets-stay")
@pytest.mark.parametrize("name", [*SECRETS, "the caller's token"])
def test_secrets_that_the_gateway_knows_are_hidden_without_any_rule(stage: Stage, name: str) -> None:
    caller = stage.here.caller(DAVE)
    secret = SECRETS.get(name, caller.token)
    secret = (urlsplit(secret).password or secret) if "://" in secret else secret
    forms = {
        "raw": secret,
        "percent": quote(f"?token={secret}", safe=""),
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "hex": secret.encode().hex(),
        "escaped": json.dumps(json.dumps(f'"{secret}"')),
    }
    stage.here.upstream.script = lambda message: (
        tool(*map(text, forms.values()), structuredContent=forms) if message["method"] == "tools/call" else None
    )
    try:
        answer = caller.call("echo", {"text": secret, "marker": marker(), **forms})
    finally:
        stage.here.upstream.script = None

    said = answer.result["structuredContent"]
    assert said["raw"] in {"[credential]", "[bearer_token]"}
    assert b"user:[" in base64.b64decode(said["base64"]) or "[credential]" in said["base64"]
    written = [*stage.here.stored.contents(), ("the log", "".join(stage.here.gateway.log).encode())]
    where = [("the answer", answer.text.encode()), *written]
    assert not sorted(set(leaks(((form, value) for form, value in forms.items()), where)))


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    "said",
    [
        tool({"type": "resource", "resource": {"uri": "x", "mimeType": "text/plain", "blob": f"*{KEY}*"}}),
        tool(text(TEXT), structuredContent=DEEP),
        [{"method": "notifications/message", "params": {"data": DEEP}}, *tool()],
        tool(text(TEXT * 20_000)),
    ],
    ids=["a blob that is no base64", "too deep", "a notification too deep", "longer than there is time for"],
)
def test_what_cannot_be_masked_is_withheld_executed_with_a_reason(stage: Stage, said: list[dict[str, Any]]) -> None:
    answer = stage.ask(CALL, said)

    assert answer.outcome == ("masking_failed", "true")
    assert "withheld" in answer.said
    assert not list(leaks(PLANTED.items(), [("the answer", answer.text.encode())]))
    end = stage.entries("call.result", "call.failed")[-1]
    assert (end.kind, end.facts["reason"], end.facts["executed"]) == ("call.failed", "masking_failed", "true")


def test_nothing_that_is_written_down_holds_any_of_it(stage: Stage) -> None:
    written = [*stage.here.stored.contents(), ("the log", "".join(stage.here.gateway.log).encode())]
    # The image is the one thing that is kept as it came.
    found = leaks(PLANTED.items(), [(where, said.replace(PNG.encode(), b"")) for where, said in written])
    assert not sorted(set(found))
