"""The admin: drafts are edited as YAML, checked, and published; what happened is only looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals import accounts, delegation
from approvals.database import database_now
from approvals.drafts import apply_text
from approvals.models import AccountLink, ConfigItem, Delegation
from approvals.runtime import Runtime
from sessions import leaf as leaves
from sessions.models import Entry
from tests.held import anonymous, browser, held, house, policy_text, signed_in
from tests.people import ALICE, BOB, DAVE, GRACE

__all__ = ["house"]
DRAFTS = "/admin/approvals/configitem/"
REVISIONS = "/admin/approvals/policyrevision/"
RULE = """
action: deny
match: {tools: ["truncate*"]}
message: Not here.
"""


@pytest.fixture
def dave(house: Runtime) -> Client:
    """An admin, and drafts that say what is in force."""
    apply_text(house, policy_text(), author="tests")
    return browser(DAVE)


def add(client: Client, text: str, *, kind: str = "rules", name: str = "never-truncate") -> Any:
    return client.post(f"{DRAFTS}add/", {"kind": kind, "name": name, "enabled": "on", "text": text}, follow=True)


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_of_the_policy_enter(who: Any, house: Runtime) -> None:
    assert browser(who).get("/admin/", follow=True).status_code == 403


def test_a_draft_governs_nothing_until_it_is_published(dave: Client, house: Runtime) -> None:
    add(dave, RULE)

    assert ConfigItem.objects.get(name="never-truncate").body["name"] == "never-truncate"
    assert "never-truncate" not in {rule.name for rule in house.policies.reload().policy.config.rules}

    page = dave.get(f"{DRAFTS}publish/").content.decode()
    assert "rule never-truncate added" in page
    revision = house.policies.current.revision
    dave.post(f"{DRAFTS}publish/", {"revision": revision})

    assert "never-truncate" in {rule.name for rule in house.policies.current.policy.config.rules}
    assert house.policies.current.revision == revision + 1


def test_what_would_be_looser_is_told_before_it_is_published(dave: Client) -> None:
    ConfigItem.objects.filter(name="writes-need-a-dba").update(enabled=False)

    page = " ".join(dave.get(f"{DRAFTS}publish/").content.decode().split())

    assert "<code>rules.writes-need-a-dba</code> is removed" in page


def test_what_is_hardly_meant_is_told_before_it_is_published(dave: Client) -> None:
    add(dave, 'action: deny\nmatch: {connections: [nowhere], tools: ["*"]}\n')

    page = dave.get(f"{DRAFTS}publish/").content.decode()

    assert "Worth a look" in page
    assert "never speaks: no connection has such a name" in page


def test_publishing_what_was_not_looked_at_is_refused(dave: Client, house: Runtime) -> None:
    add(dave, RULE)
    revision = house.policies.current.revision

    answer = dave.post(f"{DRAFTS}publish/", {"revision": revision + 7}, follow=True)

    assert "Somebody else published in the meantime." in answer.content.decode()
    assert house.policies.reload().revision == revision


def test_all_problems_of_a_draft_are_named_at_once(dave: Client) -> None:
    page = add(dave, 'action: deny\nmatch: {tools: ["a"], weather: fine}\ncolour: red\n').content.decode()

    assert "rules.never-truncate.match.weather: unknown key" in page
    assert "rules.never-truncate.colour: unknown key" in page
    assert not ConfigItem.objects.filter(name="never-truncate").exists()


def test_a_program_to_be_started_cannot_be_named_here(dave: Client, house: Runtime) -> None:
    text = "transport: stdio\ncommand: [sh, -c, id]\ndefault: allow\n"

    page = add(dave, text, kind="connections", name="shell").content.decode()
    assert "connections.shell.command: what is started is said in the configuration file" in page
    assert not ConfigItem.objects.filter(name="shell").exists()

    body = {"transport": "stdio", "command": ["sh"], "default": "allow"}
    ConfigItem.objects.create(kind="connections", name="shell", body=body)
    revision = house.policies.current.revision
    answer = dave.post(f"{DRAFTS}publish/", {"revision": revision}, follow=True)
    assert "connections.shell.command" in answer.content.decode()
    assert house.policies.reload().revision == revision


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{", "- [", "&a [*a]"])
def test_a_text_that_cannot_be_read_is_an_error_of_the_form(text: str, dave: Client) -> None:
    assert "errorlist" in add(dave, text).content.decode()


def test_a_draft_is_changed_in_its_own_words(dave: Client) -> None:
    add(dave, RULE)
    item = ConfigItem.objects.get(name="never-truncate")

    page = dave.get(f"{DRAFTS}{item.pk}/change/").content.decode()
    dave.post(f"{DRAFTS}{item.pk}/change/", {"enabled": "on", "text": RULE.replace("Not here.", "Never.")})

    assert ">\nNot here.</textarea>" in page
    item.refresh_from_db()
    assert item.body["message"] == "Never."


def test_what_the_file_owns_is_read_only(dave: Client) -> None:
    item = ConfigItem.objects.get(name="writes-need-a-dba")

    page = dave.get(f"{DRAFTS}{item.pk}/change/").content.decode()
    answer = dave.post(f"{DRAFTS}{item.pk}/change/", {"enabled": "", "text": RULE})

    assert "action: hold" in page
    assert "<textarea" not in page
    assert answer.status_code == 403


def test_requests_are_listed_without_what_they_carry(dave: Client) -> None:
    request = held(reason="ticket 7")

    listed = dave.get("/admin/approvals/approvalrequest/").content.decode()
    page = dave.get(f"/admin/approvals/approvalrequest/{request.pk}/change/").content.decode()

    assert "Henry Hale" in listed
    assert "DELETE" not in page
    assert "ticket 7" not in page


@pytest.mark.parametrize("model", ["approvalrequest", "person", "policyrevision"])
def test_what_happened_is_only_looked_at(model: str, dave: Client) -> None:
    assert dave.get(f"/admin/approvals/{model}/").status_code == 200
    assert dave.get(f"/admin/approvals/{model}/add/").status_code == 403


def test_an_admin_lets_go_of_the_account_of_somebody_who_left(dave: Client, house: Runtime) -> None:
    accounts.sync_claims(house, signed_in(ALICE), {"slack:T0/U0": "Alice"})
    link = AccountLink.objects.get()
    chosen = {"action": "end", "_selected_action": [link.pk]}
    assert browser(ALICE).post("/admin/approvals/accountlink/", chosen, follow=True).status_code == 403
    assert AccountLink.objects.filter(ended_at=None).exists()
    dave.post("/admin/approvals/accountlink/", chosen, follow=True)
    link.refresh_from_db()
    assert link.ended_by == signed_in(DAVE).key
    assert link.refuses_until is not None
    assert recorded_last() == "account.unlinked"


def test_an_admin_ends_a_delegation(dave: Client, house: Runtime) -> None:
    ends = database_now() + timedelta(days=1)
    delegation.delegate(house, signed_in(BOB), signed_in(ALICE).key, None, ends)
    chosen = {"action": "end", "_selected_action": [Delegation.objects.get().pk]}
    assert browser(ALICE).post("/admin/approvals/delegation/", chosen, follow=True).status_code == 403
    assert Delegation.objects.filter(revoked_at=None).exists()
    dave.post("/admin/approvals/delegation/", chosen, follow=True)
    assert Delegation.objects.get().revoked_by == signed_in(DAVE).key
    assert recorded_last() == "delegation.revoked"


def recorded_last() -> str:
    """Return the kind of the newest entry of the record."""
    return leaves.decode(bytes(Entry.objects.order_by("-id").values_list("leaf", flat=True)[0])).kind


def test_a_revision_shows_its_configuration(dave: Client) -> None:
    assert "never-drop" not in dave.get("/admin/approvals/policyrevision/1/change/").content.decode()
    assert "writes-need-a-dba" in dave.get("/admin/approvals/policyrevision/1/change/").content.decode()


def test_the_history_says_who_changed_what_and_what_was_loosened(dave: Client, house: Runtime) -> None:
    ConfigItem.objects.filter(name="writes-need-a-dba").update(enabled=False)
    dave.post(f"{DRAFTS}publish/", {"revision": house.policies.current.revision})
    number = house.policies.reload().revision

    listed = dave.get(REVISIONS).content.decode()
    page = dave.get(f"{REVISIONS}{number}/change/").content.decode()

    assert f"Dave Doyle ({signed_in(DAVE).key})" in listed
    assert "rule writes-need-a-dba removed" in listed
    assert "rules.writes-need-a-dba: is removed" in page
    assert "- name: writes-need-a-dba" in page


def test_going_back_is_a_new_revision_that_says_so(dave: Client, house: Runtime) -> None:
    before = house.policies.current.revision
    config = house.policies.current.policy.config
    ConfigItem.objects.filter(name="writes-need-a-dba").update(enabled=False)
    dave.post(f"{DRAFTS}publish/", {"revision": before})
    add(dave, RULE)

    page = dave.get(f"{REVISIONS}{before}/revert/").content.decode()
    dave.post(f"{REVISIONS}{before}/revert/", {"revision": before + 1})

    assert "rule writes-need-a-dba added" in page
    assert house.policies.reload().revision == before + 2
    assert house.policies.current.policy.config == config
    assert not ConfigItem.objects.get(name="never-truncate").enabled
    leaf = leaves.decode(bytes(Entry.objects.filter(kind="policy.published").order_by("-id")[0].leaf))
    assert leaf.facts["reverts"] == before


def test_going_back_over_what_was_not_looked_at_is_refused(dave: Client, house: Runtime) -> None:
    add(dave, RULE)
    before = house.policies.current.revision
    dave.post(f"{DRAFTS}publish/", {"revision": before})

    answer = dave.post(f"{REVISIONS}{before}/revert/", {"revision": before}, follow=True)

    assert "Somebody else published in the meantime." in answer.content.decode()
    assert house.policies.reload().revision == before + 1
    assert ConfigItem.objects.get(name="never-truncate").enabled


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_go_back(who: Any, dave: Client) -> None:
    assert browser(who).post(f"{REVISIONS}1/revert/", {"revision": 1}, follow=True).status_code == 403
    assert dave.get(f"{REVISIONS}99/revert/").status_code == 404


def test_the_admin_needs_no_password(house: Runtime) -> None:
    assert anonymous().get("/admin/login/?next=/admin/").headers["Location"] == "/sign-in/?next=/admin/"
