"""The admin's list of rules: whose each is, how it stands to its draft, how often it spoke and when last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals.database import database_now
from approvals.drafts import apply_text
from approvals.models import ConfigItem
from approvals.rule_hits import rule_hits
from approvals.runtime import Runtime
from sessions.events import Event
from sessions.ids import uuid7
from sessions.models import Entry
from tests.held import RULES, browser, held, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
PAGE = "/admin/approvals/configitem/rules/"


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(packs=["payment-cards"]), author="tests")
    return browser(DAVE)


def rows(client: Client) -> dict[str, str]:
    """Return the text of each row by the rule's name."""
    page = client.get(PAGE).content.decode()
    found = {}
    for row in page.split('<table class="rules">')[1].split("</table>")[0].split("<tr>")[2:]:
        text = " ".join(part.split(">")[-1].strip() for part in row.split("</")).split()
        found[text[0]] = " ".join(text[1:])
    return found


def spoke(house: Runtime, *rules: str, kind: str = "call.intent", **facts: Any) -> None:
    house.journal.append_now(
        Event(kind=kind, call_id=uuid7(), connection=CONNECTION, tool="query", facts={"rules": list(rules), **facts})
    )


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_see_the_list(who: Any, dave: Client) -> None:
    assert browser(who).get(PAGE, follow=True).status_code == 403


def test_each_rule_says_whose_it_is_and_how_it_stands_to_its_draft(dave: Client) -> None:
    body = {"name": "mine", "action": "deny", "match": {"tools": ["x"]}}
    ConfigItem.objects.create(kind="rules", name="mine", body=body)
    ConfigItem.objects.create(kind="rules", name="odd", body={"action": "fly"})
    ConfigItem.objects.filter(name="drops-need-two").update(enabled=False)
    changed = ConfigItem.objects.get(name="writes-need-a-dba")
    ConfigItem.objects.filter(pk=changed.pk).update(body={**changed.body, "message": "Other."})

    found = rows(dave)

    assert found["mine"] == "deny enforce – – a draft, not in force the admin"
    assert found["odd"] == "deny – – the draft is not valid the admin"
    assert found["drops-need-two"] == "hold enforce 0 – in force, removed in the drafts the configuration file"
    assert found["writes-need-a-dba"] == "hold enforce 0 – in force, changed in the drafts the configuration file"
    assert found["payment-cards-in-arguments"] == "deny enforce 0 – in force the pack payment-cards"


def test_a_rule_that_stands_for_one_of_a_pack_is_shown_beside_it(dave: Client, house: Runtime) -> None:
    name = "payment-cards-in-arguments"
    mine = {"name": name, "overrides": "payment-cards", "mode": "observe", "action": "deny", "match": {"tools": ["x"]}}
    apply_text(house, policy_text(packs=["payment-cards"], rules=[mine]), author="tests")

    page = dave.get(PAGE).content.decode()

    assert "overridden by yours" in page
    assert page.count(f">{name}</a>") == 1


def test_calls_are_counted_by_the_rules_that_spoke(dave: Client, house: Runtime) -> None:
    spoke(house, "drops-need-two", kind="call.blocked")
    spoke(house, "drops-need-two", "writes-need-a-dba")
    spoke(house, "writes-need-a-dba", approval="a")
    request = held()

    hits = rule_hits(database_now())

    assert hits.counts == {"drops-need-two": 2, "writes-need-a-dba": 2}
    assert hits.last["writes-need-a-dba"] == request.created_at
    assert rows(dave)["drops-need-two"].startswith("hold enforce 2 ")


def test_of_a_rule_that_observes_is_counted_what_it_would_have_done(house: Runtime) -> None:
    seen = {"name": "seen", "action": "deny", "mode": "observe", "match": {"tools": ["*"]}}
    apply_text(house, policy_text(rules=[seen, *RULES]), author="tests")
    spoke(house, observed=["seen"], would="deny")
    spoke(house, "drops-need-two", kind="call.blocked", observed=["seen"])
    held()

    hits = rule_hits(database_now())

    assert (hits.counts["seen"], hits.observed) == (0, {"seen": 3})
    assert rows(browser(DAVE))["seen"].startswith("deny observe would deny 3 ")


def test_the_window_says_how_far_it_reaches(dave: Client, house: Runtime) -> None:
    for _ in range(3):
        spoke(house, "drops-need-two")
    now = database_now()
    times = list(Entry.objects.filter(kind="call.intent").order_by("ts").values_list("ts", flat=True))

    whole, cut, later = rule_hits(now), rule_hits(now, most=2), rule_hits(now + timedelta(days=40))

    assert (whole.counts.total(), whole.since, whole.is_cut) == (3, now - timedelta(days=30), False)
    assert (cut.counts.total(), cut.since, cut.is_cut) == (2, times[1], True)
    assert later.counts.total() == 0


def test_without_rules_the_list_says_who_decides(house: Runtime) -> None:
    apply_text(house, policy_text(rules=[]), author="tests")

    assert "There is no rule yet." in browser(DAVE).get(PAGE).content.decode()
