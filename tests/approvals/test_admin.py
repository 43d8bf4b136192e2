"""The admin: drafts are edited as YAML, checked, and published; what happened is only looked at."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from approvals.drafts import apply_text
from approvals.models import ConfigItem
from approvals.runtime import Runtime
from tests.held import anonymous, browser, held, house, policy_text
from tests.people import ALICE, DAVE, GRACE

__all__ = ["house"]
DRAFTS = "/admin/approvals/configitem/"
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


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{", "- [", "&a [*a]"])
def test_a_text_that_cannot_be_read_is_an_error_of_the_form(text: str, dave: Client) -> None:
    assert "errorlist" in add(dave, text).content.decode()


def test_a_draft_is_changed_in_its_own_words(dave: Client) -> None:
    add(dave, RULE)
    item = ConfigItem.objects.get(name="never-truncate")

    page = dave.get(f"{DRAFTS}{item.pk}/change/").content.decode()
    dave.post(f"{DRAFTS}{item.pk}/change/", {"enabled": "on", "text": RULE.replace("Not here.", "Never.")})

    assert "message: Not here." in page
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


def test_a_revision_shows_its_configuration(dave: Client) -> None:
    assert "never-drop" not in dave.get("/admin/approvals/policyrevision/1/change/").content.decode()
    assert "writes-need-a-dba" in dave.get("/admin/approvals/policyrevision/1/change/").content.decode()


def test_the_admin_needs_no_password(house: Runtime) -> None:
    assert anonymous().get("/admin/login/?next=/admin/").headers["Location"] == "/sign-in/?next=/admin/"
