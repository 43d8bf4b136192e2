"""A policy that another process published: who may do what is judged by it at once, in every process."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from approvals.config.loader import load
from approvals.publication import Policies, publish
from approvals.runtime import Runtime
from tests.held import ISS, anonymous, bearer, browser, held, house, policy_text, publish_with_keys
from tests.issuer import FakeIssuer
from tests.people import ALICE, DAVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.promise("rule-at-once")

NOBODY = {"admin": ["security"], "auditor": ["security"]}


def published_elsewhere(house: Runtime, **blocks: object) -> None:
    """Publish as another process does: nothing in this one is told of it."""
    publish(house.journal, Policies(), load(policy_text(**blocks)), author="elsewhere")


def test_who_is_admin_no_more_changes_nothing_any_more(house: Runtime) -> None:
    dave = browser(DAVE)
    assert dave.get("/api/v1/policy/").status_code == 200
    published_elsewhere(house, roles=NOBODY)

    back_again = dave.put("/api/v1/policy/", policy_text(), content_type="application/yaml")

    assert back_again.status_code == 403, back_again.content
    assert dave.get("/admin/").status_code != 200


def test_who_is_auditor_no_more_reads_nothing_any_more(house: Runtime) -> None:
    request = held()
    grace = browser(GRACE)
    assert grace.get(f"/approvals/{request.pk}/").status_code == 200
    published_elsewhere(house, roles=NOBODY)

    assert grace.get(f"/approvals/{request.pk}/").status_code == 404


def test_who_became_auditor_reads_at_once(house: Runtime) -> None:
    request = held()
    dave = browser(DAVE)
    published_elsewhere(house, roles={"admin": ["dba"], "auditor": ["platform"]})

    seen = dave.get(f"/api/v1/approvals/{request.pk}/").json()

    assert seen["arguments"] is not None


def test_a_token_counts_by_the_newest_policy(house: Runtime, tmp_path: Path) -> None:
    issuer = FakeIssuer(ISS)
    publish_with_keys(issuer, tmp_path)
    document = yaml.safe_load(policy_text())
    for entry, known in zip(document["issuers"], house.policies.current.policy.config.issuers, strict=True):
        entry["jwks_uri"] = known.jwks_uri
    api = bearer(ALICE.bearer(issuer))
    assert api.get("/api/v1/approvals/").status_code == 200
    document["issuers"][0]["audiences"] = ["another"]
    published_elsewhere(house, issuers=document["issuers"])

    assert api.get("/api/v1/approvals/").status_code == 401
    assert anonymous().get("/api/v1/approvals/").status_code == 401
