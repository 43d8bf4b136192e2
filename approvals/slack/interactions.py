"""What a click in Slack does. Whoever it was and whatever came of it, they are told.

Nothing here decides: `services.decide` does, as for every other surface. That the payload comes from Slack is known;
whether it comes from our workspace, by a message of ours and from somebody we know is asked here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from approvals import keys, services
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.pages.cards import STANDINGS
from approvals.rules.remembering import Wish, offers
from approvals.secrets import SecretUnavailable
from approvals.selectors import may_decide
from approvals.slack import card, deliveries, modals, people, probe, sending
from approvals.slack.client import QUICK, SlackError, Workspace
from approvals.slack.payloads import About, Button, Clicked, Malformed, SentIn, parse
from approvals.standing import caller_of
from approvals.states import Status
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.rules import Scope
    from approvals.models import Person
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.slack.payloads import By

log = logging.getLogger("holdgate.slack")

NOT_OURS: Final = "This button is not on a message that the gateway sent for this request, so nothing was decided."
STRANGER: Final = "This click comes from another workspace or app than the one that the gateway works with."
UNKNOWN_BUTTON: Final = "This version of the gateway does not know this button. Nothing was decided."
TRY_AGAIN: Final = "That did not work just now, and nothing was decided. Please press the button again."
MOVED: Final = "Something changed since this card was drawn; it is being brought up to date. Look again, then decide."
UNCHANGED: Final = "You said so before; nothing changed."
COUNTED: Final = "Your decision is counted and recorded."

Decision = Literal["approve", "deny"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the person is told; `field` is where in a modal they must say more, `stale` that their card is old."""

    text: str
    counted: bool = False
    field: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and the card of it that somebody has before them."""

    request: ApprovalRequest
    sent: OutboundMessage | None


class Desk:
    """One delivery at work: the process, the policy in force, the workspace."""

    def __init__(self, house: Runtime, snapshot: Snapshot, workspace: Workspace) -> None:
        self.house = house
        self.snapshot = snapshot
        self.workspace = workspace

    def clicked(self, event: Clicked) -> None:
        """Do what a button does, and tell who pressed it."""
        try:
            button = Button.parse(event.value)
        except Malformed:
            self.tell(event, UNKNOWN_BUTTON)
            return
        if event.action == probe.CLICK:
            self.tell(event, self._probed(event, button))
            return
        asked = self._asked(button.approval, event.channel, event.ts, event.made_by)
        if asked is None or event.action not in (card.APPROVE, card.DENY, card.REMEMBER):
            self.tell(event, NOT_OURS if asked is None else UNKNOWN_BUTTON)
            return
        view = _modal(event, button, asked.request)
        if view is not None:
            # First of all: what opens it lives for three seconds.
            self._explain(event.by, asked, self.workspace.open_view(event.trigger, view))
            return
        answer = self._decide(event.by, asked, "approve", version=button.version)
        self._refresh(answer, asked)
        self.tell(event, answer.text)

    def sent_in(self, event: SentIn) -> dict[str, Any]:
        """Count the decision of a modal; return the answer that closes it, keeps it open, or says what came of it."""
        about, given = event.about, event.given
        asked = self._asked(about.approval, about.channel, about.ts)
        if event.callback != modals.DECIDE or asked is None:
            return modals.replaced("Not decided", NOT_OURS)
        wish = _wish(given[modals.SCOPE], given.get(modals.AGE, "")) if modals.SCOPE in given else None
        answer = self._decide(
            event.by,
            asked,
            about.decision,
            version=about.version,
            comment=given.get(modals.COMMENT, ""),
            remember=wish,
        )
        self._refresh(answer, asked)
        if answer.field:
            return modals.errors(answer.field, answer.text)
        return {} if answer.counted else modals.replaced("Not decided", answer.text)

    def _asked(self, approval: str, channel: str, ts: str, made_by: str = "") -> _Asked | None:
        """Return the request and the card of it that stands there; None when there is no such request."""
        request = ApprovalRequest.objects.filter(pk=approval).first()
        if request is None:
            return None
        sent = next((one for one in sending.cards_of(approval) if _is_at(one, channel, ts)), None)
        if sent is None and made_by:
            sent = sending.adopt(self.workspace, made_by, approval, channel, ts)
        return _Asked(request, sent)

    def _explain(self, by: By, asked: _Asked, opened: str) -> None:
        """Say in a modal that was just opened why it would be in vain, if it would."""
        person = self._person(by, asked)
        if isinstance(person, _Answer):
            answer = person
        elif asked.request.status != Status.PENDING:
            answer = _Answer(f"Too late. {_standing(asked.request)}", stale=True)
        else:
            policy = self.snapshot.policy
            answer = _Answer(may_decide(asked.request, caller_of(person, policy), policy, via="slack"))
        if answer.text:
            self.workspace.update_view(opened, modals.notice("Not decided", answer.text))
            self._refresh(answer, asked)

    def _person(self, by: By, asked: _Asked) -> Person | _Answer:
        """Return who it is, or why nothing that they clicked counts."""
        if asked.sent is None:
            return self._refused(by, asked, NOT_OURS, "message")
        if not _is_of(by, asked.sent.ref):
            return self._refused(by, asked, STRANGER, "workspace")
        person = people.who(by, self.snapshot.policy.config, self.workspace)
        return person or self._refused(by, asked, people.invitation(by), "unknown")

    def _refused(self, by: By, asked: _Asked, text: str, cause: str) -> _Answer:
        """Record a click that cannot count, by pseudonym, and return what is told."""
        account = people.accounts_of(by)
        actor = keys.actor(account[0]) if account else ""
        entry = approval_entry(asked.request, "click_refused", self.snapshot, actor=actor, cause=cause, via="slack")
        self.house.journal.append_now(entry)
        return _Answer(text)

    def _decide(
        self,
        by: By,
        asked: _Asked,
        decision: Decision,
        *,
        version: int,
        comment: str = "",
        remember: Wish | None = None,
    ) -> _Answer:
        person = self._person(by, asked)
        if isinstance(person, _Answer) or asked.sent is None:
            return person if isinstance(person, _Answer) else _Answer(NOT_OURS)
        try:
            outcome = services.decide(
                self.house,
                approval_id=asked.request.pk,
                approver=caller_of(person, self.snapshot.policy),
                decision=decision,
                comment=comment,
                via="slack",
                version=version,
                view=asked.sent.ref.get("view"),
                remember=remember,
            )
        except RecordUnavailable as error:
            return _Answer(services.unrecorded(error), field=modals.COMMENT)
        return _answer_to(outcome)

    def _refresh(self, answer: _Answer, asked: _Asked) -> None:
        """Make the card true that made somebody click in vain. The outbox would, too, but they look at it now."""
        if not answer.stale or asked.sent is None:
            return
        try:
            sending.refresh(self.workspace, asked.sent, self.house)
        except (SlackError, SecretUnavailable) as error:
            log.warning("a card that somebody clicked is old, and waits for the outbox: %s", error)

    def _probed(self, event: Clicked, button: Button) -> str:
        """Note that the button of a test message was pressed; return what is told."""
        sent = OutboundMessage.objects.filter(pk=button.approval, channel="slack", event="test").first()
        if sent is None or not _is_at(sent, event.channel, event.ts):
            return NOT_OURS
        if not _is_of(event.by, sent.ref):
            return STRANGER
        person = people.who(event.by, self.snapshot.policy.config, self.workspace)
        known = f"You are {person} to the gateway." if person else "The gateway does not know who you are."
        OutboundMessage.objects.filter(pk=sent.pk).update(ref=sent.ref | {"pressed": known})
        self.workspace.update(event.channel, event.ts, probe.pressed(known))
        return f"The click arrived. {known}" if person else people.invitation(event.by)

    def tell(self, event: Clicked, text: str) -> None:
        """Say it to the one who clicked, by the one way or the other. What was done stands, told or not."""
        try:
            self.workspace.respond(event.response_url, text)
        except SlackError:
            try:
                self.workspace.whisper(event.channel, event.by.user, text)
            except (SlackError, SecretUnavailable) as error:
                log.error("nobody could tell a user in Slack what came of their click: %s", error)


def handle(house: Runtime, payload: Any) -> dict[str, Any]:
    """Do what somebody did in Slack and return the body of the acknowledgement; empty is a plain one.

    Blocks for as long as the database and Slack take. After a DatabaseError the same delivery may come again.
    """
    snapshot = house.policies.reload()
    config = snapshot.policy.config.channels.slack
    if config is None:
        return {}
    try:
        event = parse(payload)
    except Malformed as error:
        log.warning("an interaction that Slack signed cannot be read: %s", error)
        return {}
    if not isinstance(event, Clicked | SentIn):
        return {}
    with deliveries.once(event.key) as is_new:
        return _work(Desk(house, snapshot, Workspace(config, timeout=QUICK)), event) if is_new else {}


def _work(desk: Desk, event: Clicked | SentIn) -> dict[str, Any]:
    try:
        if isinstance(event, SentIn):
            return desk.sent_in(event)
        desk.clicked(event)
    except (SlackError, SecretUnavailable, RecordUnavailable) as error:
        log.warning("a click in Slack came to nothing: %s", error)
        if isinstance(event, SentIn):
            return modals.errors(modals.COMMENT, TRY_AGAIN)
        desk.tell(event, TRY_AGAIN)
    return {}


def _wish(scope: str, age: str) -> Wish:
    """Return what is to be remembered; whether the rule offers it is asked by `decide`."""
    return Wish(cast("Scope", scope), int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0)


def _modal(event: Clicked, button: Button, request: ApprovalRequest) -> modals.View | None:
    """Return the modal that a button opens; None for an approval that asks for nothing more."""
    rule = request.terms["comment"]
    decision: Decision = "deny" if event.action == card.DENY else "approve"
    about = About(approval=request.pk, version=button.version, decision=decision, channel=event.channel, ts=event.ts)
    if decision == "deny":
        return modals.deny(about, needs_comment=rule != "optional")
    if event.action == card.REMEMBER:
        return modals.approve_for(about, offers(request.terms), needs_comment=rule == "required")
    return modals.approve(about) if rule == "required" else None


def _answer_to(outcome: services.Outcome) -> _Answer:
    answer = _Answer(NOT_OURS)
    match outcome:
        case services.Decided(row):
            answer = _Answer(f"{COUNTED} {_standing(row)}", counted=True)
        case services.Unchanged():
            answer = _Answer(UNCHANGED, counted=True)
        case services.TooLate(row):
            answer = _Answer(f"Too late, your decision was not counted. {_standing(row)}", stale=True)
        case services.VersionMoved():
            answer = _Answer(MOVED, stale=True)
        case services.CommentMissing(reason):
            answer = _Answer(reason, field=modals.COMMENT)
        case services.NotEligible(reason) | services.NotOffered(reason):
            answer = _Answer(reason)
    return answer


def _is_at(sent: OutboundMessage, channel: str, ts: str) -> bool:
    return bool(ts) and (sent.ref.get("channel"), sent.ref.get("ts")) == (channel, ts)


def _is_of(by: By, ref: dict[str, Any]) -> bool:
    """Say whether a click comes from where the message was sent; guests of a shared channel are of elsewhere."""
    if ref.get("app") and by.app != ref["app"]:
        return False
    if ref.get("enterprise"):
        return bool(by.enterprise == ref["enterprise"])
    return by.team == ref["team"] and by.user_team in ("", ref["team"])


def _standing(request: ApprovalRequest) -> str:
    _, label, meaning = STANDINGS[Status(request.status)]
    return f"{label}. {meaning}"
