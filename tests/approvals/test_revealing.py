"""`reveal_to`: an approver sees one hidden argument, for a reason, recorded first, while the request waits."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from approvals import outbox, revealing, services
from approvals.database import database_now
from approvals.hidden_places import HiddenPlace, hidden_places, value_at
from approvals.holding import Ask, call_digest, open_or_join
from approvals.models import ApprovalRequest, SealedArguments
from approvals.runtime import Runtime
from approvals.senders import SENDERS
from approvals.standing import caller_of
from approvals.verdicts import Call, Hold
from masking import documents
from proxy.binding import readable
from sessions import leaf as leaves
from sessions.ids import uuid7
from sessions.journal import RecordUnavailable
from sessions.models import Entry, Payload
from tests.held import RULES, browser, caller, house, publish_policy, signed_in
from tests.people import ALICE, BOB, CAROL, CONNECTION, DAVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.promise("masked-everywhere")
SECRET = "canary.hidden@planted.example.net"
ARGUMENTS = {"sql": "DELETE FROM orders", "to": {"mails": ["a@b.example", SECRET]}, "card": 4111111111111111}
PLACE = "1.0.1"


@pytest.fixture
def ruled(house: Runtime) -> Runtime:
    """A house whose rule lets Alice, a DBA who is of security too by this rule, see what is hidden."""
    rules = copy.deepcopy(RULES)
    rules[0]["approval"] |= {"require": {"any_of": [{"groups": ["dba", "security"]}]}, "reveal_to": ["security"]}
    publish_policy(rules=rules)
    return house


def ask(house: Runtime, **arguments: Any) -> ApprovalRequest:
    """Hold a call as the gateway does: what approvers see is masked, what was sent goes along for sealing."""
    snapshot = house.policies.current
    call = Call(caller=caller(), connection=CONNECTION, method="tools/call", name="query", arguments=arguments)
    verdict = snapshot.policy.judge(call)
    assert isinstance(verdict, Hold)
    outlet = snapshot.outlet(CONNECTION)
    value = documents.read(json.dumps(arguments))[0]
    made = Ask(
        call_id=uuid7(), session="", call=call, hold=verdict, tool="query", tool_digest="", payloads={},
        call_digest=call_digest(call, json.dumps(arguments).encode(), ""), process=house.journal.process_id,
        arguments=readable(outlet.for_approver(value)),
        sent=readable(outlet.for_sealing(value)) if verdict.terms.reveal_to else "",
    )  # fmt: skip
    return house.journal.transact_now(lambda: open_or_join(made, snapshot))


def reveal(house: Runtime, request: ApprovalRequest, human: Any = CAROL, **changes: str) -> revealing.Outcome:
    person = caller_of(signed_in(human), house.policies.current.policy)
    wish: dict[str, Any] = {"place": PLACE, "reason": "is it the right customer?", "via": "api", **changes}
    return revealing.reveal(house, request.pk, revealing.Wish(person, **wish))


def entries(kind: str) -> list[leaves.Leaf]:
    return [leaves.decode(bytes(row.leaf)) for row in Entry.objects.filter(kind=kind).order_by("id")]


def stored() -> bytes:
    """Return everything that the database holds, as bytes."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [str(bytes(v) if isinstance(v, memoryview) else v) for row in cursor.fetchall() for v in row]
    return "\n".join(found).encode()


def test_one_value_is_shown_after_its_entry_was_committed(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    assert SECRET not in request.arguments

    outcome = reveal(ruled, request)

    assert isinstance(outcome, revealing.Revealed)
    assert (outcome.name, outcome.value) == ("to.mails[1]", SECRET)
    assert SECRET not in repr(outcome)
    (entry,) = entries("approval.revealed")
    assert (entry.facts["place"], entry.facts["via"], entry.facts["approval"]) == (PLACE, "api", request.pk)
    assert entry.actor
    reason = Payload.objects.get(commitment=bytes.fromhex(entry.payloads["comment"].digest))
    assert json.loads(bytes(reason.body)) == "is it the right customer?"
    assert SECRET.encode() not in stored(), "neither the sealed row nor anything else holds it readably"


def test_a_number_is_shown_as_it_was_spelled(ruled: Runtime) -> None:
    outcome = reveal(ruled, ask(ruled, **ARGUMENTS), place="2")
    assert isinstance(outcome, revealing.Revealed)
    assert (outcome.name, outcome.value) == ("card", "4111111111111111")


@pytest.mark.parametrize("human", [ALICE, DAVE, GRACE])
def test_who_is_not_named_sees_nothing_and_that_is_recorded(human: Any, ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    assert isinstance(reveal(ruled, request, human), services.NotEligible)
    assert not entries("approval.revealed")
    assert len(entries("approval.reveal_refused")) == 1
    person = caller_of(signed_in(human), ruled.policies.current.policy)
    assert not revealing.places_for(request, person, ruled.policies.current.policy, database_now(), via="api")


def test_who_asked_sees_nothing_though_they_are_named(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    person = signed_in(CAROL)
    ApprovalRequest.objects.filter(pk=request.pk).update(requester_iss=person.iss, requester_sub=person.sub)
    assert isinstance(reveal(ruled, request), services.NotEligible)


def test_without_a_reason_nothing_is_shown_or_recorded(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    assert isinstance(reveal(ruled, request, reason=" \n"), services.CommentMissing)
    assert not entries("approval.revealed")


@pytest.mark.parametrize("place", ["", "0", "1.0", "9", "1.0.9", "x", "-1", "1.0.1.0"])
def test_only_what_is_hidden_can_be_shown(place: str, ruled: Runtime) -> None:
    assert isinstance(reveal(ruled, ask(ruled, **ARGUMENTS), place=place), services.TooLate)
    assert not entries("approval.revealed")


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_it_is_gone_with_the_decision(decision: Any, ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    assert SealedArguments.objects.filter(pk=request.pk).exists()
    alice = caller_of(signed_in(ALICE), ruled.policies.current.policy)
    services.decide(ruled, approval_id=request.pk, approver=alice, decision=decision, comment="x", via="api")
    assert not SealedArguments.objects.exists()
    assert isinstance(reveal(ruled, request), services.TooLate | services.NotEligible)


def test_it_is_gone_with_the_withdrawal_and_with_the_time(ruled: Runtime) -> None:
    withdrawn, overdue = ask(ruled, **ARGUMENTS), ask(ruled, **ARGUMENTS, n=2)
    services.cancel(ruled, approval_id=withdrawn.pk, caller=caller())
    assert list(SealedArguments.objects.values_list("pk", flat=True)) == [overdue.pk]
    past = database_now() - timedelta(hours=1)
    ApprovalRequest.objects.filter(pk=overdue.pk).update(
        created_at=past - timedelta(hours=1), expires_at=past, next_action_at=None
    )
    overdue.refresh_from_db()
    assert isinstance(reveal(ruled, overdue), services.TooLate | services.NotEligible), "before any sweep"


def test_nothing_is_sealed_where_no_rule_asks_for_it_or_nothing_is_hidden(ruled: Runtime, house: Runtime) -> None:
    ask(ruled, sql="DELETE FROM orders")
    publish_policy()
    ask(house, **ARGUMENTS)
    assert not SealedArguments.objects.exists()


def test_what_cannot_be_recorded_is_not_shown(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    ruled.journal.stop()
    with pytest.raises(RecordUnavailable):
        reveal(ruled, request)


def test_no_message_tells_it(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    before = len(outbox.due())
    reveal(ruled, request)
    assert len(outbox.due()) == before
    assert SENDERS


def test_the_page_asks_for_a_reason_and_shows_the_value_once(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    carol = browser(CAROL)
    detail = carol.get(f"/approvals/{request.pk}/").content.decode()
    assert f"/approvals/{request.pk}/reveal/" in detail
    assert SECRET not in detail
    form = carol.get(f"/approvals/{request.pk}/reveal/")
    assert SECRET not in form.content.decode()
    assert "to.mails[1]" in form.content.decode()

    refused = carol.post(f"/approvals/{request.pk}/reveal/", {"place": PLACE, "reason": ""})
    shown = carol.post(f"/approvals/{request.pk}/reveal/", {"place": PLACE, "reason": "must check"})

    assert (refused.status_code, SECRET in refused.content.decode()) == (400, False)
    assert (shown.status_code, SECRET in shown.content.decode()) == (200, True)
    for answer in (form, refused, shown):
        assert "no-store" in answer.headers["Cache-Control"]
    assert "must check" not in shown.content.decode()
    assert SECRET not in carol.get(f"/approvals/{request.pk}/reveal/").content.decode()
    assert SECRET.encode() not in stored(), "not in the browser's session either"


@pytest.mark.parametrize("human", [ALICE, BOB, GRACE])
def test_there_is_no_such_page_for_others(human: Any, ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    client = browser(human)
    assert "reveal/" not in client.get(f"/approvals/{request.pk}/").content.decode()
    assert client.get(f"/approvals/{request.pk}/reveal/").status_code == 404
    assert client.post(f"/approvals/{request.pk}/reveal/", {"place": PLACE, "reason": "x"}).status_code in {403, 404}


def api(client: Client, request: ApprovalRequest, **body: str) -> Any:
    return client.post(f"/api/v1/approvals/{request.pk}/reveal/", body, content_type="application/json")


def test_the_same_over_the_api(ruled: Runtime) -> None:
    request = ask(ruled, **ARGUMENTS)
    carol, alice = browser(CAROL), browser(ALICE)
    url = f"/api/v1/approvals/{request.pk}/"
    hidden = carol.get(url).json()["hidden"]
    assert {"place": PLACE, "name": "to.mails[1]"} in hidden
    assert alice.get(url).json()["hidden"] == []

    shown = api(carol, request, place=PLACE, reason="must check")

    assert shown.json() == {"place": PLACE, "name": "to.mails[1]", "value": SECRET}
    assert "no-store" in shown.headers["Cache-Control"]
    assert api(carol, request, place=PLACE).status_code == 400
    assert api(alice, request, place=PLACE, reason="x").status_code == 403
    assert api(carol, request, place="9", reason="x").status_code == 409


def test_places_are_told_by_position_so_that_hidden_names_lead_to_them_too() -> None:
    raw = {"a@b.example": {"x": 1, "y": [True, "s"]}, "same": 1}
    seen = {"[email]": {"x": 0, "y": [False, "s"]}, "same": 1}
    assert hidden_places(raw, seen) == [
        HiddenPlace("k0", "the name [email]"),
        HiddenPlace("0.0", "[email].x"),
        HiddenPlace("0.1.0", "[email].y[0]"),
    ]
    assert (value_at(raw, "0.1.0"), value_at(raw, "k0"), value_at(raw, "0.k1")) == ("true", "a@b.example", "y")
    for nowhere in ("k2", "0.k9", "k0.0", "0.1.k0", "k", "kk0", "0.x"):
        with pytest.raises(LookupError):
            value_at(raw, nowhere)
    assert hidden_places("a", "[x]") == [HiddenPlace("", "")]
    assert value_at("a", "") == "a"
    assert len(hidden_places(list(range(500)), [-1] * 500)) == 100
