"""A second admin for what one admin publishes: proposed, confirmed by somebody else, withdrawn, and never half done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connections
from django.test import Client

from approvals import accounts
from approvals.config.document import dump
from approvals.drafts import apply_text
from approvals.four_eyes import NotYours, confirm
from approvals.keys import actor
from approvals.models import ConfigItem, PolicyRevision, Proposal
from approvals.publication import RevisionConflict
from approvals.runtime import Runtime
from approvals.standing import caller_of
from sessions import leaf as leaves
from sessions.models import Entry
from tests.held import ISS, bearer, browser, house, policy_text, publish_with_keys, signed_in
from tests.issuer import FakeIssuer
from tests.people import ALICE, DAVE, GRACE, Human
from tests.racing import at_once

__all__ = ["house"]
PUBLISH = "/admin/approvals/configitem/publish/"
POLICY = "/api/v1/policy/"
PROPOSALS = f"{POLICY}proposals/"
ERIN = Human("erin", "Erin East", ("platform",))
ROLES = {"admin": ["platform", "corp/platform"], "auditor": ["corp/audit"]}


@pytest.fixture
def dave(house: Runtime, settings: Any) -> Client:
    """One of two admins, where what loosens needs both."""
    apply_text(house, policy_text(roles=ROLES), author="tests")
    settings.FOUR_EYES = "loosening"
    return browser(DAVE)


def loosen() -> None:
    ConfigItem.objects.filter(name="writes-need-a-dba").update(enabled=False)


def proposed(client: Client, house: Runtime) -> Proposal:
    loosen()
    client.post(PUBLISH, {"revision": house.policies.current.revision})
    return Proposal.objects.get()


def page_of(proposal: Proposal) -> str:
    return f"/admin/approvals/configitem/proposals/{proposal.pk}/"


def names(house: Runtime) -> set[str]:
    return {rule.name for rule in house.policies.reload().policy.config.rules}


def entry(kind: str) -> leaves.Leaf:
    return leaves.decode(bytes(Entry.objects.filter(kind=kind).order_by("-id")[0].leaf))


def test_what_loosens_waits_for_a_second_admin_who_confirms_it(dave: Client, house: Runtime) -> None:
    before = house.policies.current.revision

    loosen()
    assert "Propose to a second admin" in dave.get(PUBLISH).content.decode()
    proposal = proposed(dave, house)

    assert house.policies.reload().revision == before
    assert entry("policy.proposed").facts["proposal"] == proposal.pk
    erin = browser(ERIN)
    assert "A publication of Dave Doyle" in erin.get(PUBLISH).content.decode()
    assert "<code>rules.writes-need-a-dba</code>" in erin.get(page_of(proposal)).content.decode()
    erin.post(page_of(proposal), {"do": "confirm"})

    assert "writes-need-a-dba" not in names(house)
    row = PolicyRevision.objects.get(number=before + 1)
    assert row.author == signed_in(DAVE).key
    leaf = entry("policy.published")
    assert (leaf.facts["proposal"], leaf.facts["confirmed_by"]) == (proposal.pk, actor(signed_in(ERIN).key))
    assert leaf.actor == actor(signed_in(DAVE).key)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.ended_by) == ("published", signed_in(ERIN).key)


def test_nobody_confirms_their_own_under_whatever_account(dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)
    accounts.sync_claims(house, signed_in(DAVE), {signed_in(ERIN).key: "Erin"})

    for client in (dave, browser(ERIN)):
        assert "Confirm and publish" not in client.get(page_of(proposal)).content.decode()
        assert "You proposed this" in client.post(page_of(proposal), {"do": "confirm"}, follow=True).content.decode()
    assert "writes-need-a-dba" in names(house)


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_who_is_no_admin_does_not_confirm(who: Any, dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)

    assert browser(who).post(page_of(proposal), {"do": "confirm"}, follow=True).status_code == 403
    assert "writes-need-a-dba" in names(house)


def test_what_tightens_is_published_at_once_unless_everything_needs_two(
    dave: Client, house: Runtime, settings: Any
) -> None:
    body = {"name": "no", "action": "deny", "match": {"tools": ["x"]}}
    ConfigItem.objects.create(kind="rules", name="no", body=body)
    dave.post(PUBLISH, {"revision": house.policies.current.revision})
    assert "no" in names(house)

    settings.FOUR_EYES = "all"
    ConfigItem.objects.create(kind="rules", name="nor", body={**body, "name": "nor"})
    dave.post(PUBLISH, {"revision": house.policies.current.revision})
    assert "nor" not in names(house)
    assert Proposal.objects.count() == 1


def test_a_proposal_over_another_revision_is_stale(dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)
    apply_text(house, policy_text(roles={**ROLES, "operator": ["corp/platform"]}), author="tests")
    erin = browser(ERIN)

    assert "Confirm and publish" not in erin.get(page_of(proposal)).content.decode()
    assert "The policy moved" in erin.post(page_of(proposal), {"do": "confirm"}, follow=True).content.decode()
    proposal.refresh_from_db()
    assert proposal.status == "waiting"
    assert "writes-need-a-dba" in names(house)


def test_of_two_who_confirm_at_once_one_does(dave: Client, house: Runtime) -> None:
    proposal, before = proposed(dave, house), house.policies.current.revision
    erin = caller_of(signed_in(ERIN), house.policies.current.policy)

    def once() -> str:
        try:
            confirm(house, proposal, erin)
        except (NotYours, RevisionConflict):
            return "refused"
        finally:
            connections.close_all()
        return "published"

    assert sorted(at_once(once, once)) == ["published", "refused"]
    assert house.policies.reload().revision == before + 1


def test_what_was_withdrawn_is_not_confirmed_any_more(dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)

    dave.post(page_of(proposal), {"do": "withdraw"})
    answer = browser(ERIN).post(page_of(proposal), {"do": "confirm"}, follow=True)

    assert "It has ended." in answer.content.decode()
    assert entry("policy.withdrawn").facts["proposal"] == proposal.pk
    assert "writes-need-a-dba" in names(house)


def test_going_back_to_what_is_looser_waits_as_well(dave: Client, house: Runtime, settings: Any) -> None:
    loose = house.policies.current.revision
    body = {"name": "no", "action": "deny", "match": {"tools": ["x"]}}
    ConfigItem.objects.create(kind="rules", name="no", body=body)
    dave.post(PUBLISH, {"revision": loose})

    dave.post(f"/admin/approvals/policyrevision/{loose}/revert/", {"revision": loose + 1})
    assert "no" in names(house)
    browser(ERIN).post(page_of(Proposal.objects.get()), {"do": "confirm"})

    assert "no" not in names(house)
    assert entry("policy.published").facts["reverts"] == loose
    assert not ConfigItem.objects.get(name="no").enabled


def test_the_api_proposes_too_and_says_so(dave: Client, house: Runtime) -> None:
    text = policy_text(roles=ROLES, rules=[])

    answer = dave.put(POLICY, text, content_type="application/yaml")

    assert answer.status_code == 202, answer.content
    proposal = Proposal.objects.get()
    assert answer.json() == {"revision": proposal.base, "proposal": proposal.pk, "status": "waiting"}
    assert "writes-need-a-dba" in names(house)
    assert ConfigItem.objects.get(name="writes-need-a-dba").enabled
    browser(ERIN).post(page_of(proposal), {"do": "confirm"})
    assert names(house) == set()
    assert not ConfigItem.objects.get(name="writes-need-a-dba").enabled


def test_a_file_that_an_operator_applies_needs_nobody(dave: Client, house: Runtime) -> None:
    apply_text(house, policy_text(roles=ROLES, rules=[]), author="policy apply")

    assert names(house) == set()


def test_over_the_api_a_proposal_is_read_and_confirmed_by_somebody_else(dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)
    path, erin = f"{PROPOSALS}{proposal.pk}/", browser(ERIN)

    assert [one["id"] for one in erin.get(f"{PROPOSALS}?status=waiting").json()["results"]] == [proposal.pk]
    whole = erin.get(path).json()
    assert (whole["author"], whole["bar"], whole["is_stale"]) == (signed_in(DAVE).key, "", False)
    assert whole["loosens"] == ["rules.writes-need-a-dba: is removed"]
    assert [(one["name"], one["action"]) for one in whole["diff"]] == [("writes-need-a-dba", "removed")]
    assert "You proposed this" in dave.get(path).json()["bar"]
    own = dave.post(f"{path}confirm/")
    assert (own.status_code, own.json()["reason"]) == (403, "forbidden")

    answer = erin.post(f"{path}confirm/")

    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "revision": proposal.base + 1,
        "changed": ["rule writes-need-a-dba removed"],
        "loosened": ["rules.writes-need-a-dba: is removed"],
    }
    assert "writes-need-a-dba" not in names(house)
    assert entry("policy.published").facts["confirmed_by"] == actor(signed_in(ERIN).key)
    assert erin.get(path).json()["status"] == "published"
    assert erin.post(f"{path}confirm/").status_code == 403


def test_over_the_api_a_stale_proposal_is_not_confirmed_and_can_be_withdrawn(dave: Client, house: Runtime) -> None:
    proposal = proposed(dave, house)
    path, erin = f"{PROPOSALS}{proposal.pk}/", browser(ERIN)
    apply_text(house, policy_text(roles={**ROLES, "operator": ["corp/platform"]}), author="tests")

    refused = erin.post(f"{path}confirm/")
    assert (refused.status_code, refused.json()["revision"]) == (409, proposal.base + 1)
    assert erin.get(path).json()["is_stale"] is True
    assert dave.post(f"{path}withdraw/").json()["status"] == "withdrawn"
    assert erin.post(f"{path}withdraw/").status_code == 403
    assert "writes-need-a-dba" in names(house)


@pytest.mark.parametrize(("who", "may_read"), [(ALICE, 403), (GRACE, 200)])
def test_over_the_api_who_is_no_admin_confirms_nothing(who: Any, may_read: int, dave: Client, house: Runtime) -> None:
    path = f"{PROPOSALS}{proposed(dave, house).pk}/"

    assert browser(who).get(path).status_code == browser(who).get(PROPOSALS).status_code == may_read
    assert browser(who).post(f"{path}confirm/").status_code == 403
    assert browser(who).post(f"{path}withdraw/").status_code == 403
    assert browser(ERIN).post(f"{PROPOSALS}nothing/confirm/").status_code == 404
    assert "writes-need-a-dba" in names(house)


def test_who_proposes_with_a_token_is_known_by_their_address_though_they_never_signed_in(
    house: Runtime, settings: Any, tmp_path: Path
) -> None:
    issuer = FakeIssuer(ISS)
    publish_with_keys(issuer, tmp_path)
    settings.FOUR_EYES = "loosening"
    document = yaml.safe_load(runtime_text(house))
    document["rules"] = []
    token = issuer.token("dave-2", aud="holdgate", name="Dave", email=DAVE.email, email_verified=True)

    answer = bearer(f"Bearer {token}").put(POLICY, json.dumps(document), content_type="application/json")

    assert answer.status_code == 202, answer.content
    refused = browser(DAVE).post(f"{PROPOSALS}{answer.json()['proposal']}/confirm/")
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "You proposed this; another admin must confirm it.",
    )


def runtime_text(house: Runtime) -> str:
    return dump(house.policies.reload().policy.config)
