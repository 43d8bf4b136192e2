"""What leaves the gateway about a request: masked, cut, escaped, signed, and within every receiver's limits."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from approvals.notices import mail, post, teams, webhooks
from approvals.notices.notice import Notice, notice_of
from approvals.outbox import Dead, Delivery, Retry, Sent
from approvals.runtime import Runtime
from tests import receiver
from tests.held import held, house  # noqa: F401 - a fixture

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
SAMPLE = Notice(
    id="01-message",
    event="requested",
    at=NOW,
    url="https://gate.example.com/approvals/01-approval/",
    approval="01-approval",
    status="pending",
    connection="orders-db",
    method="tools/call",
    tool="query",
    rule="writes-need-a-dba",
    requester={"iss": "https://id", "sub": "henry", "kind": "person", "display": "Henry Hale", "person": ""},
    arguments=b'{"sql":"DELETE FROM orders"}',
    needs="1 of dba",
    expires_at=NOW,
)
TEXTS = st.text(max_size=6000)


def texts_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.promise("masked-everywhere")
def test_what_a_masking_rule_covers_is_in_no_notice(house: Runtime) -> None:  # noqa: F811
    request = held(sql="DELETE FROM orders", note="card 4111 1111 1111 1111", token="password=hunter2hunter2")
    snapshot = house.policies.current
    notice = notice_of("m", "requested", NOW, request, snapshot.outlet("orders-db"), public_url="https://gate")
    card = teams.card_of(notice).decode()
    body = webhooks.body_of(notice, with_arguments=True).decode()
    letter = mail.compose(notice, sender="holdgate@example.com", recipient="dba@example.com").message().as_string()
    for told in (card, body, letter, repr(notice)):
        assert "hunter2" not in told
        assert "4111 1111 1111 1111" not in told
    assert "DELETE FROM orders" in card
    assert notice.needs == "1 of dba"


@given(arguments=st.dictionaries(TEXTS, TEXTS, max_size=5), tool=TEXTS, reason=TEXTS, votes=st.lists(TEXTS, max_size=9))
def test_whatever_a_call_carries_teams_takes_the_card(
    arguments: dict[str, str], tool: str, reason: str, votes: list[str]
) -> None:
    document = json.dumps(arguments).encode()
    notice = replace(SAMPLE, arguments=document, tool=tool or "t", reason=reason, votes=tuple(votes))
    posted = receiver.Posted("/", {}, teams.card_of(notice))
    assert receiver._refused_by_teams(posted) == 0
    assert len(posted.body) <= teams.LARGEST


def test_nothing_in_a_card_can_be_markdown_or_a_template() -> None:
    hostile = "[click](https://evil.example) **bold** {{DATE(2026-01-01)}} ${system}"
    card = json.loads(teams.card_of(replace(SAMPLE, tool=hostile, reason=hostile)))["attachments"][0]["content"]
    blocks = card["body"]
    assert {block["type"] for block in blocks} == {"RichTextBlock"}
    assert {run["type"] for block in blocks for run in block["inlines"]} == {"TextRun"}
    assert "{{" not in texts_of(blocks)
    assert "${" not in texts_of(blocks)
    assert [action["url"] for action in card["actions"]] == [SAMPLE.url]


@given(tool=TEXTS, reason=TEXTS, value=TEXTS)
def test_no_text_of_a_caller_becomes_a_header_or_markup_of_a_mail(tool: str, reason: str, value: str) -> None:
    notice = replace(SAMPLE, tool=tool, reason=reason, arguments=json.dumps({"a": value}).encode())
    letter = mail.compose(notice, sender="holdgate@example.com", recipient="dba@example.com")
    names = [name.lower() for name, _ in letter.message().items()]
    assert sorted(names) == sorted({*names})
    assert set(names) == {
        "auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to",
        "x-auto-response-suppress",
    }  # fmt: skip
    assert len(letter.subject) <= mail.LONGEST_SUBJECT + 1
    (html,) = [part[0] for part in letter.alternatives]
    assert str(html).count("<a ") == 1
    assert "<script" not in str(html).lower()


def test_a_subject_says_nothing_of_the_arguments() -> None:
    letter = mail.compose(SAMPLE, sender="holdgate@example.com", recipient="dba@example.com")
    assert letter.subject == "Approval needed: query on orders-db"
    assert "DELETE FROM orders" in str(letter.body)
    assert SAMPLE.url in str(letter.body)


def test_mails_of_one_request_name_the_first_of_them() -> None:
    first, later = (
        mail.compose(notice, sender="holdgate@example.com", recipient="dba@example.com").message()
        for notice in (SAMPLE, replace(SAMPLE, id="02", event="approved", status="approved"))
    )
    assert later["References"] == later["In-Reply-To"] == first["Message-ID"]
    assert later["Message-ID"] == "<02@example.com>"
    assert first["Auto-Submitted"] == "auto-generated"


def test_an_event_is_signed_with_every_secret_in_use_and_verifies_with_either() -> None:
    body = webhooks.body_of(SAMPLE, with_arguments=False)
    keys = [webhooks.key_of(secret) for secret in (SECRET, OTHER)]
    headers = dict(webhooks.headers_of("01-message", body, keys, datetime.now(UTC)))
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(body, headers)["type"] == "approval.requested"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"pending", b"approved"), headers)


def test_an_event_has_arguments_only_where_they_were_asked_for_and_fit() -> None:
    without = json.loads(webhooks.body_of(SAMPLE, with_arguments=False))
    assert without["timestamp"] == NOW.isoformat()
    assert "DELETE" not in texts_of(without)
    assert json.loads(webhooks.body_of(SAMPLE, with_arguments=True))["data"]["arguments"] == {
        "sql": "DELETE FROM orders"
    }
    large = replace(SAMPLE, arguments=json.dumps({"a": "x" * 70_000}).encode())
    data = json.loads(webhooks.body_of(large, with_arguments=True))["data"]
    assert data["arguments"] is None
    assert data["arguments_left_out"] is True


@pytest.mark.parametrize("secret", ["hunter2", "whsec_", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_"), "whsec_*"])
def test_a_secret_that_signs_nothing_safely_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(webhooks.SecretUnusable) as caught:
        webhooks.key_of(secret)
    assert secret == "whsec_" or secret not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (204, {}, Sent({"status": 204})),
        (500, {}, Retry("answered 500")),
        (429, {"Retry-After": "7"}, Retry("answered 429", 7.0)),
        (503, {"Retry-After": "999999"}, Retry("answered 503", post.LONGEST_RETRY)),
        (503, {"Retry-After": "soon"}, Retry("answered 503")),
        (404, {}, Dead("answered 404")),
        (410, {}, Dead("answered 410; the receiver is gone")),
        (302, {"Location": "http://127.0.0.1:1/"}, Dead("answered 302; redirects are not followed")),
    ],
)
def test_what_a_receiver_answers_decides_about_the_next_attempt(
    status: int, headers: dict[str, str], outcome: Delivery
) -> None:
    with receiver.receiver() as there:
        there.answer = receiver.Answering(status, headers)
        assert post.post(there.url, b"{}", {}) == outcome
        assert there.wait().headers["content-type"] == "application/json"


def test_a_receiver_that_says_nothing_is_given_up_in_time() -> None:
    with receiver.receiver() as there:
        there.answer = receiver.Answering(silent=True)
        outcome = post.post(there.url, b"{}", {}, seconds=0.3)
    assert isinstance(outcome, Retry)
    assert outcome.reason in {"no answer within 0.3 s", "not reached (ReadTimeout)"}


def test_nobody_there_is_no_reason_to_give_up_for_good() -> None:
    with receiver.receiver() as there:
        url = there.url
    assert post.post(url, b"{}", {}) == Retry("not reached (ConnectError)")


def test_nothing_leaves_this_machine_in_the_clear() -> None:
    assert post.post("http://ops.example.com/hooks", b"{}", {}) == Dead("the address is not https")
