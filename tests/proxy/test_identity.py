"""Who calls: what a sound token says of its bearer."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.verdicts import Caller
from tests.identity_desk import NOW, Desk
from tests.people import AGENT, ALICE, BOB, CI, EVE, Job


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_person_is_known_by_issuer_and_subject_with_groups_of_both_kinds(desk: Desk) -> None:
    caller = desk.admit(ALICE.bearer(desk.corp, now=desk.now))
    assert caller == Caller(
        iss="https://id.example.com",
        sub="alice",
        kind="person",
        groups=frozenset({"corp/engineering", "dba"}),
        issuer="corp",
        display="Alice Ames",
        email="alice@example.com",
    )


def test_a_ci_job_carries_its_run_the_person_behind_it_and_its_owners(desk: Desk) -> None:
    caller = desk.admit(CI.bearer(desk.corp, now=desk.now))
    assert caller.kind == "ci"
    assert caller.groups == {"github/deployers"}
    assert caller.run == (
        ("run_id", "1658821493"),
        ("run_attempt", "1"),
        ("job_workflow_ref", "acme/shop/.github/workflows/deploy.yml@refs/heads/main"),
    )
    assert caller.person == "https://id.example.com/github|4711"
    assert caller.owned_by == ("platform",)


@pytest.mark.parametrize("actor", ["9999", True, 47.5, ["4711"], {"id": "4711"}, None])
def test_a_person_whom_nobody_linked_is_not_known(desk: Desk, actor: Any) -> None:
    caller = desk.admit(CI.bearer(desk.corp, now=desk.now, actor_id=actor))
    assert caller.person is None
    assert caller.starter == (f"https://id.example.com/github|{actor}" if isinstance(actor, str) else None)


def test_a_person_is_known_only_when_linked_to_another_account(desk: Desk) -> None:
    desk.publish(2, people=[{"name": "Dave", "accounts": ["https://id.example.com/github|4711"]}])
    assert desk.admit(CI.bearer(desk.corp, now=desk.now)).person is None


@pytest.mark.parametrize(
    "job",
    [
        Job(ref="refs/heads/Main"),
        Job(ref="refs/heads/main2"),
        Job(repository="acme"),
        Job(repository="ACME/shop"),
        Job(repository="evil/acme/shop"),
    ],
)
def test_a_group_from_claims_needs_every_claim_to_fit_exactly(desk: Desk, job: Job) -> None:
    assert desk.admit(job.bearer(desk.corp, now=desk.now)).groups == frozenset()


def test_claims_make_an_agent(desk: Desk) -> None:
    assert desk.admit(AGENT.bearer(desk.corp, now=desk.now)).kind == "agent"
    assert desk.admit(AGENT.bearer(desk.corp, now=desk.now, client_id="console")).kind == "person"


def test_the_kind_that_may_do_least_wins(desk: Desk) -> None:
    everybody = {"sub": ["*"]}
    kinds = desk.policy.config.issuers[0].kind
    desk.change_issuer(kind=kinds.model_copy(update={"person": everybody, "agent": everybody, "ci": everybody}))
    assert desk.admit(ALICE.bearer(desk.corp, now=desk.now)).kind == "ci"


def test_cluster_and_gitlab_tokens_are_read_by_their_nested_and_flat_claims(desk: Desk) -> None:
    pods = {
        "name": "pods",
        "issuer": desk.corp.kubernetes.url,
        "audiences": ["holdgate"],
        "groups": {"shop": {"kubernetes.io.namespace": "shop"}},
        "groups_claim": "kubernetes.io.pod.name",
    }
    lab = {
        "name": "lab",
        "issuer": desk.corp.gitlab.url,
        "audiences": ["holdgate"],
        "kind": {"default": "ci"},
        "groups": {"production": {"ref_protected": "true", "project_path": "acme/*"}},
    }
    desk.publish(2, issuers=[pods, lab], roles={})
    assert desk.admit(f"Bearer {desk.corp.kubernetes.kubernetes_token(now=NOW)}").groups == {
        "pods/shop",
        "pods/agent-7d4b9",
    }
    assert desk.admit(f"Bearer {desk.corp.gitlab.gitlab_token(now=NOW)}").groups == {"lab/production"}


def test_an_unverified_address_makes_nobody_a_member(desk: Desk) -> None:
    for flag in (False, None, "yes", 1.5, ["true"]):
        caller = desk.admit(ALICE.bearer(desk.corp, now=desk.now, email_verified=flag))
        assert caller.email is None
        assert "dba" not in caller.groups


def test_an_issuer_whose_addresses_are_trusted_need_not_say_so(desk: Desk) -> None:
    desk.change_issuer(trust_email=True)
    assert "dba" in desk.admit(ALICE.bearer(desk.corp, now=desk.now, drop=("email_verified",))).groups


@pytest.mark.parametrize(
    "email", [7, "alice", "a@b@c", "alice @example.com", "a\x00@example.com", "x" * 300 + "@e.com"]
)
def test_an_address_of_a_wrong_form_is_none(desk: Desk, email: Any) -> None:
    assert desk.admit(EVE.bearer(desk.corp, now=desk.now, email=email)).email is None


def test_an_address_counts_only_where_people_sign_in(desk: Desk) -> None:
    claims = {"email": BOB.email, "email_verified": True}
    assert "dba" not in desk.admit(CI.bearer(desk.corp, now=desk.now, **claims)).groups


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Mallory\u202egnp.exe", "Mallory gnp.exe"),
        ("  A \n B  ", "A B"),
        ("\u200b", "eve@example.com"),
        ("x" * 5000, "x" * 120),
        (["Alice"], "eve@example.com"),
    ],
)
def test_a_name_is_shown_without_what_cannot_be_seen(desk: Desk, name: Any, shown: str) -> None:
    assert desk.admit(EVE.bearer(desk.corp, now=desk.now, name=name)).display == shown


def test_a_single_group_may_be_a_text_and_none_may_be_missing(desk: Desk) -> None:
    assert desk.admit(f"Bearer {desk.token(groups='ops')}").groups == {"corp/ops"}
    assert desk.admit(f"Bearer {desk.token()}").groups == frozenset()


def test_a_token_group_never_passes_for_a_local_one(desk: Desk) -> None:
    groups = desk.admit(f"Bearer {desk.token(groups=['dba', '../dba', 'corp/dba'])}").groups
    assert groups == {"corp/dba", "corp/../dba", "corp/corp/dba"}
