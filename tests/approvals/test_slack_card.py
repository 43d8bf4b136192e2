"""The card in Slack: within every limit for any call, nothing hostile in force, nothing decided that is not shown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import services
from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.rules.remembering import Memory
from approvals.rules.ruleset import ACCESS
from approvals.runtime import Runtime
from approvals.slack import modals
from approvals.slack.card import APPROVE, DENY, OPEN, REMEMBER, Facts, Said, bare, card
from approvals.slack.facts import facts_of
from approvals.slack.payloads import About
from approvals.standing import caller_of
from tests.held import held, publish_policy, signed_in
from tests.held import house as house
from tests.people import ALICE
from tests.slack_limits import check_message, check_view, texts

TEXT = st.text(max_size=400) | st.sampled_from(
    ["<!channel>", "```", "*_~`", "\u202e", "漢" * 300, "\x00", " " * 300, ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXT, inner, max_size=8),
    max_leaves=60,
)
LONG = st.sampled_from(["a", "漢", "\n", "\U0001f600", "\u202e", '"', "\\", " ", "ａ"]).flatmap(
    lambda letter: st.integers(0, 70_000).map(lambda count: {"sql": letter * count})
)
FACTS = Facts(
    approval="0190b6c8-1111-7222-8333-444455556666",
    version=3,
    url="https://gate.example.com/approvals/0190b6c8-1111-7222-8333-444455556666/",
    status="pending",
    title="Approval needed",
    standing="Waiting for a decision. Nothing was run. The call waits.",
    is_open=True,
    decides=True,
    tool="query",
    connection="orders-db",
    asker="Henry Hale",
    kind="a person",
    rule="writes-need-a-dba",
    needs=("0 of 1 from dba",),
    arguments='{"sql": "DELETE FROM orders"}',
    code="3f2a9bc01d77",
    expires=1_700_000_000,
    until="2026-11-28 12:00 UTC",
)


def buttons(facts: Facts) -> dict[str, dict[str, Any]]:
    rows = [block["elements"] for block in card(facts).blocks if block["type"] == "actions"]
    return {element["action_id"]: element for row in rows for element in row}


@settings(max_examples=200, deadline=None)
@given(JSON | LONG)
def test_slack_takes_the_card_of_any_arguments(arguments: Any) -> None:
    message = card(replace(FACTS, arguments=json.dumps(arguments, ensure_ascii=False)))
    check_message(message.text, message.blocks)
    json.dumps(message.blocks, ensure_ascii=False).encode("utf-8")


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=9, max_size=9), st.lists(st.tuples(TEXT, TEXT), max_size=9), st.booleans())
def test_slack_takes_the_card_whatever_anybody_wrote(
    written: list[str], pairs: list[tuple[str, str]], open_: bool
) -> None:
    tool, asker, person, reason, message, arguments, rule, need, via = written
    facts = replace(
        FACTS, tool=tool, asker=asker, person=person, reason=reason, message=message, rule=rule, needs=(need,) * 4,
        arguments=json.dumps(arguments), is_open=open_, remembers=True, run=tuple(pairs),
        votes=tuple(Said(by, "approve", comment, via) for by, comment in pairs),
    )  # fmt: skip
    for made in (card(facts), bare(facts)):
        check_message(made.text, made.blocks)


def test_the_card_shows_the_call_letter_for_letter_and_who_asks_and_why() -> None:
    shown = "\n".join(texts(card(replace(FACTS, reason="ticket 42", message="Ask the team.")).blocks))
    for expected in ("DELETE FROM orders", "Henry Hale", "ticket 42", "writes-need-a-dba", "Ask the team.", FACTS.code):
        assert expected in shown
    assert set(buttons(FACTS)) == {APPROVE, DENY, OPEN}
    assert buttons(FACTS)[APPROVE]["value"] == f"{FACTS.approval}:3"


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("arguments", [{"sql": "x" * 6_500}, {"sql": "漢" * 3_000}, {"sql": "x" * 100_000}])
def test_what_the_card_does_not_show_whole_cannot_be_approved_on_it(arguments: Any) -> None:
    facts = replace(FACTS, arguments=json.dumps(arguments), remembers=True)
    assert set(buttons(facts)) == {DENY, OPEN}
    assert "so it cannot be approved here" in "\n".join(texts(card(facts).blocks))


@pytest.mark.parametrize("changes", [{"is_open": False}, {"decides": False}])
def test_a_card_of_what_is_not_decided_in_slack_has_a_link_alone(changes: dict[str, Any]) -> None:
    assert set(buttons(replace(FACTS, remembers=True, **changes))) == {OPEN}


def test_a_gateway_that_does_not_know_its_address_sends_no_half_a_link() -> None:
    for facts in (replace(FACTS, url=""), replace(FACTS, url="", is_open=False)):
        for message in (card(facts), bare(facts)):
            check_message(message.text, message.blocks)
            assert OPEN not in json.dumps(message.blocks)


def test_remembering_is_offered_only_where_the_rule_allows_it() -> None:
    assert REMEMBER not in buttons(FACTS)
    assert REMEMBER in buttons(replace(FACTS, remembers=True))


HOSTILE = "<!channel> <https://evil.example|Approve> ```*x*``` \u202egnp.exe &lt;"


def test_markup_of_callers_is_text_and_never_in_force() -> None:
    facts = replace(FACTS, tool=HOSTILE, asker=HOSTILE, reason=HOSTILE, arguments=json.dumps({"sql": HOSTILE}))
    message = card(facts)
    assert "<" not in message.text
    assert ">" not in message.text
    assert "mrkdwn" not in json.dumps(message.blocks)
    shown = "\n".join(texts(message.blocks))
    assert "\u202e" not in shown
    assert "⟨U+202E⟩" in shown
    assert "<!channel>" in shown  # letter for letter, where nothing is parsed


def test_the_notification_names_the_request_and_no_argument() -> None:
    message = card(replace(FACTS, arguments='{"password": "hunter2 hunter2"}'))
    assert "hunter2" not in message.text
    for expected in ("query", "orders-db", "Henry Hale", FACTS.code, FACTS.url):
        assert expected in message.text


def test_letters_of_several_alphabets_in_a_word_are_pointed_out() -> None:
    shown = "\n".join(texts(card(replace(FACTS, arguments=json.dumps({"host": "p\u0430ypal"}))).blocks))
    assert "⟨mixed alphabets⟩" in shown


def test_a_card_says_what_is_asked_and_then_what_came_of_it(house: Runtime) -> None:
    request = held(reason="ticket 42")
    open_ = facts_of(request, house.policies.current, database_now())
    assert (open_.title, open_.is_open, open_.decides) == ("Approval needed", True, True)
    assert open_.needs == ("0 of 1 from dba",)
    alice = caller_of(signed_in(ALICE), house.policies.current.policy)
    services.decide(house, approval_id=request.pk, approver=alice, decision="deny", comment="no", via="dashboard")
    request.refresh_from_db()
    closed = facts_of(request, house.policies.current, database_now())
    assert (closed.title, closed.is_open) == ("Denied", False)
    assert closed.votes == (Said("Alice Ames", "deny", "no", "dashboard"),)
    assert "Denied by Alice Ames (dashboard): no" in "".join(texts(card(closed).blocks))


@pytest.mark.promise("masked-everywhere")
def test_a_masking_rule_of_today_hides_what_was_asked_yesterday(house: Runtime) -> None:
    request = held(sql="select 1", note="zulu77")
    assert "zulu77" in facts_of(request, house.policies.current, database_now()).arguments
    publish_policy(masking=[{"name": "notes", "fields": ["note"], "replace": "label"}])
    assert "zulu77" not in facts_of(request, house.policies.current, database_now()).arguments


def test_what_no_rule_hides_is_shown_as_the_caller_spelled_it(house: Runtime) -> None:
    request = held(amount=1)
    ApprovalRequest.objects.filter(pk=request.pk).update(arguments='{"amount": 1.50e3, "name": "\\u0041"}')
    request.refresh_from_db()
    assert facts_of(request, house.policies.current, database_now()).arguments == request.arguments


def test_an_overdue_request_is_expired_on_its_card_before_any_sweep(house: Runtime) -> None:
    request = held()
    facts = facts_of(request, house.policies.current, request.expires_at)
    assert (facts.title, facts.is_open) == ("Expired", False)


@settings(max_examples=60, deadline=None)
@given(TEXT, st.integers(1, 10**7), st.integers(1, 10**6), st.booleans())
def test_slack_opens_every_modal(text: str, age: int, uses: int, needed: bool) -> None:
    about = About(
        approval=FACTS.approval, version=999_999_999, decision="deny", channel="C012AB3CD", ts="1700000000.000001"
    )
    assert About.parse(about.document()) == about
    offers = [Memory("same_arguments", age, uses), Memory("same_tool", age, uses)]
    for view in (
        modals.deny(about, needs_comment=needed),
        modals.approve(about),
        modals.approve_for(about, offers, needs_comment=needed),
        modals.approve_for(about, [], needs_comment=needed),
        modals.notice("Not decided", text),
        modals.replaced("Not decided", text)["view"],
    ):
        check_view(view)


def test_an_approval_in_an_emergency_says_so_on_its_card(house: Runtime) -> None:
    request = held()
    request.status, request.source = "executed", "break_glass"
    facts = facts_of(request, house.policies.current, database_now())
    assert facts.title == "Break-glass"
    assert "One person approved this alone" in "".join(texts(card(facts).blocks))


def test_a_card_of_access_speaks_of_access(house: Runtime) -> None:
    request = held()
    request.rule, request.status = ACCESS, "approved"
    facts = facts_of(request, house.policies.current, database_now())
    assert (facts.title, facts.standing.startswith("Open. ")) == ("Open", True)


def test_a_request_whose_arguments_were_erased_still_has_a_card(house: Runtime) -> None:
    request = held()
    request.arguments = ""
    message = card(facts_of(request, house.policies.current, database_now()))
    check_message(message.text, message.blocks)
