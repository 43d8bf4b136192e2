"""A machine that lives the lives of approval requests, step by step, beside a model that says what must come of each.

The services, the database and the record are real. The model knows the rules from the documents, not from the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from approvals import access, services
from approvals.break_glass import Breaking, break_glass, close_review
from approvals.holding import claim, finish, supersede
from approvals.models import ApprovalRequest
from approvals.recall import NUDGE_EVERY, Nudged, TooSoon, nudge, revoke
from approvals.recovery import recover
from approvals.services import CommentMissing, Decided, NotEligible, NotFound, TooLate, Unchanged, VersionMoved
from approvals.states import TRANSITIONS, Status
from approvals.timers import run_due
from sessions.events import Event
from sessions.ids import uuid7
from tests.engine import approver, ask, intent, opened, pass_time, vote
from tests.held import HENRY, caller
from tests.modelled import ESCALATES, OPEN, REMINDERS, Modelled
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, Human
from tests.scene import NEEDED, Scene, Steps

AT_ONCE = 3  # open requests of one life
ANY = st.integers(0, 59)
SELDOM = st.integers(0, 3).map(lambda drawn: drawn == 0)
# Transitions that the table knows and no service offers yet: nothing but `move` can make them.
WITHOUT_A_SERVICE = {
    (Status.OUTCOME_UNKNOWN, Status.EXECUTED),
}
# `at` 0 is the only request.
AGREED: Steps = [("agree", {"at": 0})]
CLAIMED: Steps = [*AGREED, ("run", {"at": 0, "elsewhere": True})]
LOST: Steps = [*CLAIMED, ("recovery", {})]
ALONE: dict[str, Any] = {"at": 0, "seldom": True}


class Lives(Scene):
    """Several requests of Henry's, two processes, and a policy that changes under them."""

    # --- asking ---

    @initialize(tool=st.sampled_from(sorted(NEEDED)), steps=st.sampled_from([[], AGREED, CLAIMED, LOST]))
    def begin(self, tool: str, steps: Steps) -> None:
        """Open the first request, and go with it so far that all later stages are met often."""
        self.publish()
        self.open_one(tool)
        self.walk(steps)

    @precondition(lambda self: sum(it.status in OPEN for it in self.known.values()) < AT_ONCE)
    @rule(tool=st.sampled_from(sorted(NEEDED)))
    def open(self, tool: str) -> None:
        self.open_one(tool)

    @rule(at=ANY)
    def come_back(self, at: int) -> None:
        """The identical call comes with its handle: it meets its request, or a new one is opened."""
        it = self.pick(at)
        again = ask(it.tool, arguments=dict(it.asked.call.arguments), approval_id=it.row.pk)
        expected = it.is_met
        row = opened(again)
        assert (row.pk == it.row.pk) == expected, (it.status, row.pk)
        if not expected:
            ApprovalRequest.objects.filter(pk=row.pk).delete()  # another life; there are enough of them

    # --- deciding ---

    @rule(
        at=ANY,
        who=st.sampled_from([ALICE, ALICE, BOB, BOB, CAROL, EVE, HENRY]),
        decision=st.sampled_from(["approve", "approve", "approve", "deny"]),
        stale=st.sampled_from([False, False, False, True]),
    )
    def decide(self, at: int, who: Human, decision: str, stale: bool) -> None:
        it = self.pick(at)
        self.ballot(it, who, decision, stale=stale)

    def ballot(self, it: Modelled, who: Human, decision: str, *, stale: bool = False) -> None:
        version = it.version - 1 if stale else None
        expected = self._after_vote(it, who, decision, stale)
        outcome = vote(it.row, who, decision, version=version, comment="said")
        assert type(outcome) is expected, (it.status, who.sub, decision, outcome)

    def _after_vote(self, it: Modelled, who: Human, decision: str, stale: bool) -> type[services.Outcome]:
        if who not in self.deciders(it):
            it.story.append("approval.vote_refused")
            return NotEligible
        if it.votes.get(who.sub) == decision:
            return Unchanged
        if it.status is not Status.PENDING:
            return TooLate
        return VersionMoved if stale else self._after_a_vote_in_time(it, who, decision)

    def _after_a_vote_in_time(self, it: Modelled, who: Human, decision: str) -> type[services.Outcome]:
        if it.overdue:
            self.go(it, Status.EXPIRED, "approval.expired")
            return TooLate
        if it.terms != self.terms:
            self.go(it, Status.SUPERSEDED, "approval.superseded")
            return TooLate
        it.votes[who.sub] = decision
        it.story.append("approval.voted")
        if decision == "deny":
            self.go(it, Status.DENIED, "approval.denied")
        elif list(it.votes.values()).count("approve") >= NEEDED[it.tool]:
            self.go(it, Status.APPROVED, "approval.approved")
        return Decided

    @rule(at=ANY)
    def agree(self, at: int) -> None:
        it = self.pick(at)
        for who in (ALICE, BOB):
            self.ballot(it, who, "approve")

    @rule(at=ANY, who=st.sampled_from([ALICE, BOB, EVE]), comment=st.sampled_from(["looked", "looked", " "]))
    def resolve(self, at: int, who: Human, comment: str) -> None:
        it = self.pick(at)
        if who not in self.dba:
            it.story.append("approval.vote_refused")
            expected: type[services.Outcome] = NotEligible
        elif it.status is not Status.OUTCOME_UNKNOWN:
            expected = TooLate
        elif not comment.strip():
            expected = CommentMissing
        else:
            expected = Decided
            it.has_result = False
            self.go(it, Status.FAILED, "approval.resolved")
        outcome = vote(it.row, who, "resolve", comment=comment)
        assert type(outcome) is expected, (it.status, who.sub, outcome)

    @rule(at=ANY, who=st.sampled_from([EVE, EVE, HENRY]))
    def withdraw(self, at: int, who: Human) -> None:
        it = self.pick(at)
        expected: type[services.Outcome] = NotFound if who is EVE else TooLate
        if who is HENRY and it.status in {Status.PENDING, Status.APPROVED}:
            expected = Decided
            self.go(it, Status.CANCELLED, "approval.cancelled")
        outcome = services.cancel(self.house, approval_id=it.row.pk, caller=caller(who))
        assert type(outcome) is expected, (it.status, outcome)

    @rule(at=ANY, who=st.sampled_from([EVE, HENRY, HENRY]))
    def nudge(self, at: int, who: Human) -> None:
        it = self.pick(at)
        expected: type[object] = NotFound if who is EVE else TooLate
        if who is HENRY and it.status is Status.PENDING and not it.overdue:
            expected = Nudged if it.rested >= NUDGE_EVERY.total_seconds() / 60 else TooSoon
        outcome = nudge(self.house, approval_id=it.row.pk, caller=caller(who))
        assert type(outcome) is expected, (it.status, it.rested, outcome)
        if expected is Nudged:
            it.rested = 0
            it.story.append("approval.nudged")

    @rule(at=ANY, who=st.sampled_from([ALICE, BOB, CAROL, DAVE, EVE, HENRY]), seldom=SELDOM)
    def take_back(self, at: int, who: Human, seldom: bool) -> None:
        it = self.pick(at)
        if not seldom:
            return
        expected: type[object] = NotEligible
        if who in [*self.deciders(it), DAVE] or it.votes.get(who.sub) == "approve":
            expected = Decided if it.status is Status.APPROVED else TooLate
        if expected is Decided:
            self.go(it, Status.REVOKED, "approval.revoked")
        outcome = revoke(self.house, approval_id=it.row.pk, person=approver(who), via="api")
        assert type(outcome) is expected, (it.status, who.sub, outcome)

    @rule(at=ANY, seldom=SELDOM)
    def access_ends(self, at: int, seldom: bool) -> None:
        it = self.pick(at)
        if not seldom or it.status not in {Status.PENDING, Status.APPROVED}:
            return
        ApprovalRequest.objects.filter(pk=it.row.pk).update(access=uuid7())  # of a window that is not open
        self.go(it, Status.REVOKED, "approval.revoked")
        assert access.run_due(self.house) == 1

    @rule(at=ANY, who=st.sampled_from([CAROL, DAVE, EVE, HENRY]), seldom=SELDOM)
    def break_glass(self, at: int, who: Human, seldom: bool) -> None:
        it = self.pick(at)
        if not seldom:
            return
        expected = self._after_breaking(it, who)
        outcome = break_glass(self.house, it.row.pk, Breaking(approver(who), "orders are down", "api"))
        assert type(outcome) is expected, (it.status, who.sub, outcome)

    def _after_breaking(self, it: Modelled, who: Human) -> type[services.Outcome]:
        if who is not DAVE:
            it.story.append("approval.vote_refused")
            return NotEligible
        if it.status is not Status.PENDING:
            return TooLate
        if it.overdue:
            self.go(it, Status.EXPIRED, "approval.expired")
            return TooLate
        if it.terms != self.terms:
            self.go(it, Status.SUPERSEDED, "approval.superseded")
            return TooLate
        it.alone = True
        self.go(it, Status.APPROVED, "approval.break_glass", "approval.approved")
        return Decided

    @rule(at=ANY, who=st.sampled_from([ALICE, BOB, DAVE, EVE]))
    def review(self, at: int, who: Human) -> None:
        it = self.pick(at)
        expected: type[object] = NotFound
        if it.alone and who not in self.deciders(it):
            expected = NotEligible
        elif it.alone:
            expected = TooLate if it.reviewed else Decided
        outcome = close_review(self.house, approval_id=it.row.pk, person=approver(who), comment="fine", via="api")
        assert type(outcome) is expected, (it.status, who.sub, outcome)
        if expected is Decided:
            it.reviewed = True
            it.story.append("approval.reviewed")

    # --- time, policy, tools ---

    @rule(at=ANY, minutes=st.sampled_from([11, 31]))
    def time_passes(self, at: int, minutes: int) -> None:
        it = self.pick(at)
        pass_time(it.row, minutes=minutes)
        it.age += minutes
        it.rested += minutes
        it.approved_ago += minutes
        it.ended_ago += minutes

    @rule()
    def sweep(self) -> None:
        due = [it for it in self.known.values() if it.overdue]
        for it in due:
            assert it.overdue is not None
            self.go(it, it.overdue, f"approval.{it.overdue}")
        prompted = [it for it in self.known.values() if it.prompts]
        for it in prompted:
            it.story += it.prompts
            it.escalated = it.age >= ESCALATES
            it.reminded = sum(it.age >= after for after in REMINDERS)
        assert run_due(self.house) == len(due) + len(prompted)
        assert run_due(self.other) == 0

    @rule(terms=st.sampled_from([1, 1, 1, 1, 2]), alone=st.sampled_from([False, False, True]))
    def policy_moves(self, terms: int, alone: bool) -> None:
        self.terms, self.dba = terms, [BOB] if alone else [ALICE, BOB]
        self.publish()

    @rule(at=ANY, seldom=SELDOM)
    def tool_changes(self, at: int, seldom: bool) -> None:
        it = self.pick(at)
        if not seldom:
            return
        snapshot = self.house.policies.reload()
        it.row.refresh_from_db()
        if it.status in {Status.PENDING, Status.APPROVED}:
            self.go(it, Status.SUPERSEDED, "approval.superseded")
        self.house.journal.transact_now(lambda: (None, supersede(it.row, snapshot, cause="tool")))

    # --- running ---

    @rule(at=ANY, elsewhere=st.booleans())
    def run(self, at: int, elsewhere: bool) -> None:
        it = self.pick(at)
        process = self.other if elsewhere else self.house
        snapshot = process.policies.reload()

        def work() -> tuple[str, Sequence[Event]]:
            token, events = claim(it.row.pk, snapshot)
            return token, [*events, *([intent(it.row)] if token else [])]

        token = process.journal.transact_now(work)
        assert bool(token) == self._claimed(it), it.status
        if token:
            it.token, it.claimed_by = token, process.journal.process_id

    def _claimed(self, it: Modelled) -> bool:
        if it.status is not Status.APPROVED:
            return False
        entitled = [one for one in self.deciders(it) if it.votes.get(one.sub) == "approve"]
        if it.terms != self.terms or not (it.alone or len(entitled) >= NEEDED[it.tool]):
            self.go(it, Status.SUPERSEDED, "approval.superseded")
            return False
        if it.overdue:
            return False
        self.go(it, Status.EXECUTING, "call.intent")
        return True

    @rule(
        at=ANY,
        new=st.sampled_from([Status.EXECUTED, Status.FAILED, Status.OUTCOME_UNKNOWN]),
        ours=st.sampled_from([True, True, False]),
    )
    def ends(self, at: int, new: Status, ours: bool) -> None:
        it = self.pick(at)
        token = it.token if ours else uuid7()
        counts = it.status is Status.EXECUTING and ours
        said: dict[str, Any] = {"executed": "true", "result": b"{}", "heard": False}

        def work() -> tuple[bool, Sequence[Event]]:
            ended = finish(it.row.pk, token, new, **said)
            entry = Event(kind="call.result", call_id=it.row.call_id, facts={"approval": it.row.pk})
            return ended, [entry] if ended else []

        assert self.house.journal.transact_now(work) == counts
        if counts:
            it.has_result = True
            self.go(it, new, "call.result")

    @rule()
    def recovery(self) -> None:
        """The other process is taken for dead: what it was running is unknown. What runs here goes on."""
        lost = [
            it
            for it in self.known.values()
            if it.status is Status.EXECUTING and it.claimed_by == self.other.journal.process_id
        ]
        for it in lost:
            it.has_result = False
            self.go(it, Status.OUTCOME_UNKNOWN, "call.unknown")
        assert recover(self.house, exclusive=True) == len(lost)

    # --- the table itself ---

    @rule(at=ANY, new=st.sampled_from(sorted(Status)), pretended=st.sampled_from(sorted(Status)))
    def force(self, at: int, new: Status, pretended: Status) -> None:
        """Nothing moves against the table, nor from a status that the row does not have."""
        it = self.pick(at)
        if (it.status, new) not in TRANSITIONS:
            with pytest.raises(ValueError, match=f"no transition from {it.status} to {new}"):
                services.move(it.row.pk, it.status, new)
        if pretended is not it.status and (pretended, new) in TRANSITIONS:
            assert not services.move(it.row.pk, pretended, new)

    @rule(at=ANY, which=st.integers(0, 1), seldom=SELDOM)
    def move_alone(self, at: int, which: int, seldom: bool) -> None:
        it = self.pick(at)
        fitting = sorted(new for old, new in WITHOUT_A_SERVICE if old is it.status)
        if fitting and seldom:
            new = fitting[which % len(fitting)]
            assert self.house.journal.transact_now(lambda: (services.move(it.row.pk, it.status, new), ()))
            self.go(it, new)
