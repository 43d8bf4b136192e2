"""Secrets and personal data planted wherever that can be done, and looked for wherever anything is kept or said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.history import leaks
from tests.line import Answer, Line
from tests.people import ALICE, CONNECTION, DAVE, GRACE
from tests.stored import opened
from tests.upstream_tools import ROWS
from tests.world import World, marker

pytestmark = [pytest.mark.promise("masked-everywhere"), pytest.mark.promise("secrets-stay")]

CARD = "4012 8888 8888 1881"
EMAIL = "canary.person@planted.example.net"
AWS_KEY = "AKIAQX3PZ7LMN4RTV2WB"
GITHUB_TOKEN = "ghp_Yq81mZs0PbT3kWd5LxUe92RnVc47HaGoJf6t"
PASSWORD = "Hunter2-planted-9xQ"
PLANTED = {
    "card": CARD,
    "card without spaces": CARD.replace(" ", ""),
    "e-mail": EMAIL,
    "AWS key": AWS_KEY,
    "GitHub token": GITHUB_TOKEN,
    "password": PASSWORD,
    "an answer's e-mail": str(ROWS[0]["email"]),
    "an answer's card": str(ROWS[0]["card"]),
    "an answer's SSN": str(ROWS[0]["ssn"]),
}
TEXT = f"pay {CARD} for {EMAIL} with {AWS_KEY}, {GITHUB_TOKEN} and password={PASSWORD}"
NESTED = {"deep": [{"note": TEXT, "card": int(CARD.replace(" ", ""))}], "text": json.dumps({"inner": TEXT})}


class Heard:
    """Everything that the gateway said to anybody."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.texts: list[tuple[str, bytes]] = []
        self.secrets = dict(PLANTED)

    def caller(self, connection: str = CONNECTION, era: str = "legacy") -> Line:
        """Return Dave at a connection; his token must be found nowhere either."""
        line = self.here.caller(DAVE, connection, era=era)
        self.secrets[f"token of {connection}, {era}"] = line.token
        self.secrets[f"signature of {connection}, {era}"] = line.token.rsplit(".", 1)[1]
        return line

    def note(self, where: str, answer: Answer | httpx.Response) -> None:
        """Remember what an answer said, in its body and its header fields."""
        fields = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.texts.append((where, f"{fields}\n{answer.text}".encode()))


@pytest.fixture(scope="module")
def heard(here: World) -> Heard:
    """Plant everywhere, and keep what was said in answer."""
    heard = Heard(here)
    _plant_in_calls(heard)
    _plant_in_held_calls(heard)
    _plant_at_the_door(heard)
    _plant_in_lists_and_sessions(heard)
    _read_api_and_pages(heard)
    return heard


def _plant_in_calls(heard: Heard) -> None:
    for era in ("legacy", "modern"):
        for connection in (CONNECTION, "streams"):
            caller = heard.caller(connection, era)
            meta = {"progressToken": "tok"}
            heard.note("text", caller.call("echo", {"text": TEXT, "marker": marker(), **NESTED}, meta=meta))
            heard.note("rows", caller.call("query", {"sql": f"select '{TEXT}'", "marker": marker()}))
            heard.note("tool error", caller.call("fail", {"marker": marker()}))
            heard.note("credential", caller.call("echo", {"text": heard.here.gateway.environment["UPSTREAM_TOKEN"]}))
            heard.note("token", caller.call("echo", {"text": f"my token is {caller.token}"}))
            heard.note("resource", caller.ask("resources/read", {"uri": f"mail://{EMAIL}/{AWS_KEY}"}))
            heard.note("unknown tool", caller.call(f"tool of {EMAIL} {AWS_KEY}", {"text": TEXT}))
            heard.note("unknown method", caller.ask(f"read/{EMAIL}/{AWS_KEY}", {"text": TEXT}))
            heard.note("blocked", caller.call("query", {"sql": f"drop table x -- {TEXT}"}))
    caller, mark = heard.caller(), marker()
    knobs: dict[str, Any] = {"idempotency_key": AWS_KEY, "holdgate_run": f"run of {EMAIL}", "holdgate_reason": TEXT}
    for _ in range(2):
        heard.note("knobs", caller.call("query", {"sql": "select 1", "marker": mark}, **knobs))
    upstream = heard.here.upstreams["faulty"]
    for upstream.fault in ("html_error", "json_error", "unauthorized", "plain_text"):
        heard.note("fault", heard.caller("faulty").call("query", {"sql": TEXT, "marker": marker()}))
    upstream.fault = None


def _plant_in_held_calls(heard: Heard) -> None:
    here, caller = heard.here, heard.caller()
    for verb in ("approve", "deny"):
        arguments = {"sql": f"delete from x where y = '{TEXT}'", "marker": marker(), **NESTED}
        asked = caller.call("query", arguments, prefer="wait=0", holdgate_reason=f"{verb} {TEXT}")
        heard.note("pending", asked)
        heard.note("decision", here.decide(asked.approval["id"], verb, comment=f"as {TEXT} says"))
        heard.note("decided", caller.call("query", arguments, prefer="wait=5"))
        heard.note("again", caller.call("query", arguments, prefer="wait=0"))
        refused = here.api(DAVE, "POST", f"approvals/{asked.approval['id']}/decide/", json={"decision": TEXT})
        heard.note("a decision that is none", refused)


def _plant_at_the_door(heard: Heard) -> None:
    caller, here = heard.caller(), heard.here
    for wrong in (
        json.dumps(caller.tool_call("query", {"sql": "x"})).replace('"sql"', f'"{EMAIL}": 1, "{EMAIL}": 2, "sql"'),
        f'{{"{AWS_KEY}": NaN}}',
        TEXT,
    ):
        heard.note("framing", caller.raw(content=wrong.encode()))
    heard.note("revision", caller.ask("tools/list", mcp_protocol_version=AWS_KEY))
    heard.note("session", caller.ask("tools/list", mcp_session_id=AWS_KEY))
    stranger = here.caller(DAVE, iss=f"https://{EMAIL}", header={"kid": AWS_KEY}, aud=GITHUB_TOKEN)
    heard.note("wrong token", stranger.raw(content=b"{}"))
    heard.secrets["wrong token"] = stranger.token
    heard.note("wrong path", httpx.get(f"{here.gateway.url}/approvals/{EMAIL}/", trust_env=False))
    headers = {"authorization": DAVE.bearer(here.issuer)}
    url = f"{here.gateway.url}/api/v1/approvals/?{AWS_KEY}={EMAIL}"
    heard.note("wrong filter", httpx.get(url, headers=headers, trust_env=False))


def _plant_in_lists_and_sessions(heard: Heard) -> None:
    upstream = heard.here.upstreams["sessions"]
    described = upstream.tools[1]
    upstream.tools[1] = {**described, "description": f"Echoes. {TEXT}", "title": EMAIL}
    heard.here.accept_tools("sessions")
    try:
        line = heard.caller("sessions").initialize()
        heard.note("list", line.ask("tools/list"))
        heard.note("pins", heard.here.api(DAVE, "GET", "connections/sessions/tools/"))
        heard.note("in a session", line.call("echo", {"text": "x", "marker": marker()}))
        heard.secrets |= {f"upstream session {one}": one for one in upstream.live_sessions}
        heard.note("end of session", line.raw("DELETE"))
    finally:
        upstream.tools[1] = described
        heard.here.accept_tools("sessions")
    heard.secrets["upstream credential"] = heard.here.gateway.environment["UPSTREAM_TOKEN"]


def _read_api_and_pages(heard: Heard) -> None:
    here = heard.here
    approvals = here.api(ALICE, "GET", "approvals/?limit=200")
    ids = [one["id"] for one in approvals.json()["results"]]
    calls = [one["call_id"] for one in approvals.json()["results"]]
    heard.note("API list", approvals)
    for path in ("sessions/", "policy/", "policy/revisions/", *(f"calls/{one}/" for one in calls[:3])):
        heard.note(f"API {path}", here.api(GRACE, "GET", path))
    sessions = [row[0] for row in here.stored.rows("SELECT id FROM mcp_sessions_recordedsession")]
    for who in (ALICE, GRACE):
        with here.browser(who) as browser:
            pages = ["/", "/sessions/", *(f"/approvals/{one}/" for one in ids[:5])]
            pages += [f"/sessions/{one}/" for one in sessions] if who is GRACE else []
            for page in pages:
                heard.note(f"page {page} for {who.sub}", browser.get(page))


def test_no_answer_api_document_or_page_holds_what_was_planted(heard: Heard) -> None:
    assert len(heard.texts) > 80
    _assert_clean(heard, iter(heard.texts))


def test_the_pages_and_documents_do_show_the_calls_without_it(heard: Heard) -> None:
    said = b"\n".join(text for where, text in heard.texts if where.startswith(("page", "API")))

    assert b"delete from x" in said
    assert b"[email]" in said


def test_the_database_holds_nothing_of_it(heard: Heard) -> None:
    with opened(heard.here.gateway) as stored:
        contents = list(stored.contents())

    assert {"mcp_sessions_entry", "mcp_sessions_payload", "approvals_approvalrequest"} <= {name for name, _ in contents}
    assert any(b"delete from x" in row for _, row in contents)
    _assert_clean(heard, iter(contents))


def test_the_log_and_the_state_folder_hold_nothing_of_it(heard: Heard) -> None:
    here = heard.here
    # The database's own pages too, with what was deleted from them.
    files = [(str(path), path.read_bytes()) for path in here.gateway.folder.rglob("*") if path.is_file()]
    log = ("log", "".join(here.gateway.log).encode())

    assert "is not known" in "".join(here.gateway.log), "the log is really read"
    _assert_clean(heard, iter([log, *files]))


def test_the_callers_token_never_travels_upstream(heard: Heard) -> None:
    tokens = {name: value for name, value in heard.secrets.items() if name.startswith(("token", "signature"))}
    for upstream in heard.here.upstreams.values():
        for seen in upstream.requests:
            fields = b"".join(value for _, value in seen.headers)
            assert not any(token.encode() in fields for token in tokens.values())


def _assert_clean(heard: Heard, places: Iterator[tuple[str, bytes]]) -> None:
    """Fail with all places where something planted stands: as it is, in base64, or in hex."""
    found = Counter(leaks(heard.secrets.items(), places))
    assert not found, "\n".join(sorted(f"{what} ({count} times)" for what, count in found.items()))
