"""Links of accounts to people: how they come about, what they give, what they refuse, and how they end."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from approvals import accounts, services
from approvals.accounts import Claimed, Linked, Refused
from approvals.models import AccountLink, LinkCode, Person
from approvals.runtime import Runtime
from approvals.services import Decided, NotEligible, NotFound
from approvals.states import Status
from approvals.verdicts import Caller
from sessions import leaf as leaves
from sessions.models import Entry
from tests.engine import ask, bring_into_force, claimed, engine, opened, status, together, vote
from tests.held import HENRY, ISS, caller, signed_in
from tests.people import ALICE, BOB, EVE, GRACE, Human

__all__ = ["engine"]

GITHUB = f"{ISS}/github"
SLACK = "slack:E0GRID/U0ALICE"
DBA_2 = Human("alice-2", "Alice at home")


def job(actor: str = "99", **changes: Any) -> Caller:
    """Return a CI job that this GitHub user started."""
    made = {"iss": GITHUB, "sub": "repo:acme/shop", "kind": "ci", "issuer": "github", "starter": f"{GITHUB}|{actor}"}
    return caller(HENRY, **{**made, "owned_by": ("platform",), **changes})


def code_of(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2]


def link(house: Runtime, account: str, human: Human, method: str = "claim") -> AccountLink:
    """Tie an account to one of the cast, as their provider does."""
    accounts.sync_claims(house, signed_in(human), {account: "an account"})
    return AccountLink.objects.get(account=account, ended_at=None)


def kinds() -> list[str]:
    found = [leaves.decode(bytes(row)) for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]
    return [leaf.kind for leaf in found if leaf.kind.startswith("account.")]


def config(house: Runtime) -> Any:
    return house.policies.current.policy.config


# --- whose account it is ---


def test_a_slack_user_is_whoever_took_the_offer(engine: Runtime) -> None:
    code = code_of(accounts.offer_link(SLACK, "Alice, acme.slack.com"))
    alice = signed_in(ALICE)

    assert accounts.person_of(SLACK, config(engine)) is None
    outcome = accounts.accept_link(engine, code, alice)

    assert isinstance(outcome, Linked)
    assert (outcome.link.method, outcome.link.made_by) == ("token", alice.key)
    assert accounts.person_of(SLACK, config(engine)) == alice
    assert kinds() == ["account.linked"]


def test_the_configuration_says_whose_account_it_is(engine: Runtime) -> None:
    bring_into_force(people=[{"name": "Alice", "accounts": [SLACK, f"{ISS}|alice"]}])
    assert accounts.person_of(SLACK, config(engine)) is None  # nobody of that name has signed in yet
    alice = signed_in(ALICE)
    assert accounts.person_of(SLACK, config(engine)) == alice
    assert accounts.person_of(alice.key, config(engine)) == alice


def test_where_link_and_configuration_differ_it_is_nobodys(engine: Runtime) -> None:
    link(engine, SLACK, BOB)
    signed_in(ALICE)
    bring_into_force(people=[{"name": "Alice", "accounts": [SLACK, f"{ISS}|alice"]}])
    assert accounts.person_of(SLACK, config(engine)) is None


def test_an_address_finds_one_active_person_who_signs_in_and_never_one_of_two(engine: Runtime) -> None:
    alice = signed_in(ALICE)
    assert accounts.person_by_email(f" {ALICE.email.upper()}", config(engine)) == alice
    assert accounts.person_by_email("", config(engine)) is None
    Person.objects.filter(pk=signed_in(BOB).pk).update(email=ALICE.email)
    assert accounts.person_by_email(ALICE.email, config(engine)) is None
    Person.objects.filter(sub="bob").update(is_active=False)
    assert accounts.person_by_email(ALICE.email, config(engine)) == alice
    Person.objects.filter(sub="alice").update(iss=GITHUB)  # people do not sign in there
    assert accounts.person_by_email(ALICE.email, config(engine)) is None


# --- codes ---


def test_a_code_works_once_and_its_text_is_kept_nowhere(engine: Runtime) -> None:
    code = code_of(accounts.offer_link(SLACK, "Alice"))
    assert isinstance(accounts.accept_link(engine, code, signed_in(ALICE)), Linked)
    assert accounts.peek(code) is None
    assert isinstance(accounts.accept_link(engine, code, signed_in(BOB)), Refused)
    assert code not in str(list(LinkCode.objects.values()))


def test_a_code_grows_old(engine: Runtime) -> None:
    code = code_of(accounts.offer_link(SLACK, "Alice"))
    LinkCode.objects.update(expires_at=F("expires_at") - timedelta(minutes=16))
    assert accounts.peek(code) is None
    assert isinstance(accounts.accept_link(engine, code, signed_in(ALICE)), Refused)
    LinkCode.objects.update(expires_at=F("expires_at") - timedelta(days=2))
    accounts.forget_old_codes()
    assert not LinkCode.objects.exists()


def test_of_two_who_take_one_offer_at_once_one_gets_it(engine: Runtime) -> None:
    code = code_of(accounts.offer_link(SLACK, "Alice"))
    people = [signed_in(ALICE), signed_in(BOB)]
    outcomes = together([partial(accounts.accept_link, engine, code, person) for person in people])
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Linked", "Refused"]
    assert AccountLink.objects.count() == 1


def test_a_second_sign_in_takes_an_invitation_and_a_newer_one_voids_it(engine: Runtime) -> None:
    alice, second = signed_in(ALICE), signed_in(DBA_2)
    old, code = accounts.invite_account(alice), accounts.invite_account(alice)
    assert isinstance(accounts.accept_link(engine, old, second), Refused)
    assert isinstance(accounts.accept_link(engine, code, alice), Refused)  # it is hers already
    outcome = accounts.accept_link(engine, code, second)
    assert isinstance(outcome, Linked)
    assert (outcome.link.account, outcome.link.holder) == (second.key, alice.key)


def test_a_job_shows_a_code_and_its_maker_must_agree(engine: Runtime) -> None:
    alice, bob = signed_in(ALICE), signed_in(BOB)
    code = accounts.invite_account(alice)

    assert accounts.claim_code(engine, code, job()) == Claimed(f"{GITHUB}|99")
    assert isinstance(accounts.claim_code(engine, code, job("666")), Refused)  # read in the job's log
    assert isinstance(accounts.accept_link(engine, code, bob), Refused)
    assert not AccountLink.objects.exists()
    (waiting,) = accounts.claims_of(alice)
    assert accounts.claims_of(bob) == []
    assert isinstance(accounts.agree(engine, waiting.digest, bob), Refused)
    outcome = accounts.agree(engine, waiting.digest, alice)

    assert isinstance(outcome, Linked)
    assert (outcome.link.account, outcome.link.method) == (f"{GITHUB}|99", "job")
    assert accounts.person_of(f"{GITHUB}|99", config(engine)) == alice


def test_only_a_job_whose_starter_is_named_shows_a_code(engine: Runtime) -> None:
    code = accounts.invite_account(signed_in(ALICE))
    for who in (caller(BOB), job(kind="agent"), job(starter=None)):
        assert isinstance(accounts.claim_code(engine, code, who), Refused)
    offer = code_of(accounts.offer_link(SLACK, "Alice"))
    assert isinstance(accounts.claim_code(engine, offer, job()), Refused)


# --- nothing is taken from anybody ---


def test_an_account_of_somebody_else_is_refused_and_the_attempt_recorded(engine: Runtime) -> None:
    link(engine, SLACK, ALICE)
    outcome = accounts.accept_link(engine, code_of(accounts.offer_link(SLACK, "Alice")), signed_in(BOB))
    assert isinstance(outcome, Refused)
    assert "somebody else" in outcome.reason
    accounts.sync_claims(engine, signed_in(BOB), {SLACK: "Alice"})
    assert accounts.person_of(SLACK, config(engine)) == signed_in(ALICE)
    assert kinds() == ["account.linked", "account.link_refused", "account.link_refused"]


def test_an_account_that_the_configuration_gives_to_somebody_is_refused(engine: Runtime) -> None:
    bring_into_force(people=[{"name": "Alice", "accounts": [SLACK, f"{ISS}|alice"]}])
    outcome = accounts.accept_link(engine, code_of(accounts.offer_link(SLACK, "Alice")), signed_in(BOB))
    assert isinstance(outcome, Refused)


def test_who_was_switched_off_links_nothing(engine: Runtime) -> None:
    bob = signed_in(BOB)
    code = code_of(accounts.offer_link(SLACK, "Bob"))
    Person.objects.filter(pk=bob.pk).update(is_active=False)
    assert isinstance(accounts.accept_link(engine, code, bob), Refused)


def test_nobody_ends_a_link_of_another_or_of_the_provider(engine: Runtime) -> None:
    made = link(engine, SLACK, ALICE)
    assert isinstance(accounts.unlink(engine, made.pk, signed_in(BOB)), Refused)
    assert isinstance(accounts.unlink(engine, made.pk, signed_in(ALICE)), Refused)
    accounts.sync_claims(engine, signed_in(ALICE), {})
    assert accounts.person_of(SLACK, config(engine)) is None
    assert kinds() == ["account.linked", "account.unlinked"]


# --- who may decide and who must not ---


@pytest.mark.promise("no-self-approval")
def test_who_started_a_job_by_a_linked_account_does_not_decide_it_and_their_colleagues_do(engine: Runtime) -> None:
    link(engine, f"{GITHUB}|99", ALICE)
    row = opened(ask(by=job(owned_by=("dba",))))
    assert row.requester_person == f"{GITHUB}|99"
    assert isinstance(vote(row, ALICE), NotEligible)
    assert isinstance(vote(row, BOB), Decided)  # an owner; but it is known that it was not Bob


@pytest.mark.promise("no-self-approval")
def test_a_link_made_while_the_job_waits_refuses_at_once_and_at_the_claim(engine: Runtime) -> None:
    row, other = opened(ask(by=job())), opened(ask("each", by=job()))
    assert isinstance(vote(other, ALICE), Decided)
    link(engine, f"{GITHUB}|99", ALICE)
    assert isinstance(vote(row, ALICE), NotEligible)
    done = opened(ask(by=job(), arguments={"other": 1}))
    vote(done, BOB)
    link(engine, f"{GITHUB}|98", BOB)
    assert claimed(done)
    late = opened(ask(by=job("97"), arguments={"late": 1}))
    vote(late, BOB)
    accounts.sync_claims(engine, signed_in(BOB), {f"{GITHUB}|98": "", f"{GITHUB}|97": ""})
    assert not claimed(late)
    assert status(late) == Status.SUPERSEDED


@pytest.mark.promise("no-self-approval")
def test_letting_go_of_an_account_frees_no_decision(engine: Runtime) -> None:
    link(engine, f"{GITHUB}|99", ALICE)
    row = opened(ask(by=job()))
    accounts.sync_claims(engine, signed_in(ALICE), {})
    assert isinstance(vote(row, ALICE), NotEligible)
    assert isinstance(vote(opened(ask(by=job(), arguments={"new": 1})), ALICE), NotEligible)
    AccountLink.objects.update(refuses_until=F("refuses_until") - timedelta(days=91))
    assert isinstance(vote(row, ALICE), NotEligible)
    assert isinstance(vote(opened(ask(by=job(), arguments={"newer": 1})), ALICE), Decided)


@pytest.mark.promise("no-self-approval")
def test_what_leaves_the_configuration_frees_no_decision_that_is_open(engine: Runtime) -> None:
    people = [{"name": "Alice", "accounts": [f"{ISS}|alice", f"{GITHUB}|99"]}]
    bring_into_force(people=people)
    row = opened(ask(by=job(person=f"{GITHUB}|99")))
    bring_into_force(people=[])
    assert isinstance(vote(row, ALICE), NotEligible)
    assert isinstance(vote(row, BOB), Decided)


@pytest.mark.promise("no-self-approval")
def test_two_linked_sign_ins_are_one_vote_also_after_they_parted(engine: Runtime) -> None:
    bring_into_force(groups={"dba": {"members": [ALICE.email, DBA_2.email]}, "security": {}, "platform": {}})
    code = accounts.invite_account(signed_in(ALICE))
    outcome = accounts.accept_link(engine, code, signed_in(DBA_2))
    assert isinstance(outcome, Linked)
    row = opened(ask("two"))
    vote(row, ALICE)
    assert isinstance(vote(row, DBA_2), NotEligible)
    assert isinstance(accounts.unlink(engine, outcome.link.pk, signed_in(DBA_2)), Linked)
    assert isinstance(vote(row, DBA_2), NotEligible)
    assert status(row) == Status.PENDING


def test_who_is_linked_withdraws_what_their_job_asked_and_no_longer_when_they_parted(engine: Runtime) -> None:
    link(engine, f"{GITHUB}|99", ALICE)
    first, second = opened(ask(by=job())), opened(ask(by=job(), arguments={"second": 1}))
    assert isinstance(services.cancel(engine, approval_id=first.pk, caller=caller(ALICE)), Decided)
    accounts.sync_claims(engine, signed_in(ALICE), {})
    assert isinstance(services.cancel(engine, approval_id=second.pk, caller=caller(ALICE)), NotFound)


def test_a_link_gives_no_groups_to_another_sign_in(engine: Runtime) -> None:
    code = accounts.invite_account(signed_in(ALICE))
    assert isinstance(accounts.accept_link(engine, code, signed_in(EVE)), Linked)
    outcome = vote(opened(ask()), EVE)
    assert isinstance(outcome, NotEligible)
    assert "dba" in outcome.reason


def test_an_account_is_one_person_through_several_links(engine: Runtime) -> None:
    """Grace holds a sign-in, which holds the GitHub account: what the job asks is hers."""
    assert isinstance(accounts.accept_link(engine, accounts.invite_account(signed_in(GRACE)), signed_in(EVE)), Linked)
    link(engine, f"{GITHUB}|99", EVE)
    bring_into_force(groups={"dba": {"members": [GRACE.email]}, "security": {}, "platform": {}})
    assert isinstance(vote(opened(ask(by=job())), GRACE), NotEligible)
