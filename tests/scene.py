"""The scene of `tests.lives`: the requests of one life, two processes, and what must be true after every step."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from approvals.models import ApprovalRequest, Review, Vote
from approvals.runtime import Runtime, runtime
from approvals.states import Status
from sessions import leaf as leaves
from sessions.ids import uuid7
from sessions.models import Entry, OpenCall
from tests.engine import another_process, ask, bring_into_force, groups, holds, one_of, opened
from tests.modelled import COLLECT, ESCALATES, EXPIRES, OPEN, Modelled
from tests.people import ALICE, BOB, CAROL, Human

NEEDED = {"one": 1, "two": 2}
OFTEN = 50  # of 60
# Steps of the machine, each with what it draws.
Steps = list[tuple[str, dict[str, Any]]]


class Scene(RuleBasedStateMachine):
    """Several requests of Henry's, two processes, and a policy that changes under them."""

    reached: ClassVar[Counter[tuple[Status, Status]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        Vote.objects.all().delete()
        Review.objects.all().delete()
        ApprovalRequest.objects.all().delete()
        OpenCall.objects.all().delete()
        self.house = runtime()
        self._elsewhere = another_process()
        self.other: Runtime = self._elsewhere.__enter__()
        self.known: dict[str, Modelled] = {}
        self.terms = 1
        self.dba = [ALICE, BOB]
        self.seen = _newest_entry()

    def teardown(self) -> None:
        self._elsewhere.__exit__(None, None, None)

    # --- what the model does ---

    def go(self, it: Modelled, new: Status, *entries: str) -> None:
        self.reached[it.status, new] += 1
        it.status, it.approved_ago, it.ended_ago = new, 0, 0
        it.story += entries

    def walk(self, steps: Steps) -> None:
        for name, drawn in steps:
            getattr(self, name)(**drawn)
            self.database_and_record_agree_with_the_model()

    def publish(self) -> None:
        timers = {"expires_after": f"{EXPIRES}m", "collect_within": f"{COLLECT}m"}
        comment = "optional" if self.terms == 2 else "required_on_deny"
        rules = [
            holds(tool, one_of("dba", count), comment=comment, escalate=_step(), break_glass=_alone(), **timers)
            for tool, count in NEEDED.items()
        ]
        bring_into_force(rules=rules, groups=groups(dba=self.dba))

    def pick(self, which: int) -> Modelled:
        """Return a request that is not over yet, as a rule; now and then one that is."""
        lively = [it for it in self.known.values() if it.status in OPEN or it.status is Status.OUTCOME_UNKNOWN]
        found = lively if lively and which < OFTEN else list(self.known.values())
        return found[which % len(found)]

    def open_one(self, tool: str) -> None:
        asked = ask(tool, arguments={"marker": uuid7()})
        it = Modelled(opened(asked), asked, tool, self.terms)
        self.known[it.row.pk] = it

    def deciders(self, it: Modelled) -> list[Human]:
        return [*self.dba, *([CAROL] if it.escalated else [])]

    # --- what must always be true ---

    @invariant()
    def database_and_record_agree_with_the_model(self) -> None:
        told = self._told()
        for it in self.known.values():
            it.row.refresh_from_db()
            assert (it.row.status, dict(it.row.votes.values_list("sub", "decision"))) == (it.status, it.votes)
            assert told.get(it.row.pk, []) == it.story[it.told :], (it.status, it.story)
            assert it.row.version >= it.version
            it.version, it.told = it.row.version, len(it.story)

    def _told(self) -> dict[str, list[str]]:
        """Return the kinds of the new entries by request."""
        told: dict[str, list[str]] = {}
        for pk, leaf in Entry.objects.filter(id__gt=self.seen).order_by("id").values_list("id", "leaf"):
            self.seen = pk
            decoded = leaves.decode(bytes(leaf))
            told.setdefault(str(decoded.facts.get("approval")), []).append(decoded.kind)
        return told


def _step() -> list[dict[str, Any]]:
    return [{"after": f"{ESCALATES}m", "add_groups": ["security"]}]


def _alone() -> dict[str, Any]:
    return {"groups": ["platform"]}


def _newest_entry() -> int:
    newest = Entry.objects.order_by("-id").values_list("id", flat=True).first()
    return newest or 0
