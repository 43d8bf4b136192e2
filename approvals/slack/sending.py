"""The sender of messages to Slack: one card for each request and channel, kept true, with a thread of events.

The outbox hands over the messages of one request and route one after the other. So a card is posted once and edited by
whatever comes later, always to what is true at that moment: events that pile up are one edit.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from approvals.database import database_now
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.notices import policy_notice
from approvals.notices.sending import channels_of
from approvals.outbox import Dead, Retry, Sent
from approvals.secrets import SecretUnavailable
from approvals.slack import alert, probe
from approvals.slack.card import Message, bare, card
from approvals.slack.client import Refused, SlackError, Workspace
from approvals.slack.facts import facts_of
from approvals.slack.notes import LOUD, note
from masking.engine import MaskingFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.outbox import Delivery
    from approvals.runtime import Runtime
    from approvals.slack.card import Facts

# Slack takes about one message a second in a channel, and a few at once now and then.
SPACING: Final = 1.0
AT_ONCE: Final = 4
GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
TOO_MUCH: Final = frozenset({"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format"})

_turns = threading.Lock()
_paid_until: dict[tuple[str, str], float] = {}


def by_slack(message: OutboundMessage, runtime: Runtime) -> Delivery:
    """Post the card of a request, or edit it and say in its thread what happened."""
    config = channels_of(message, runtime).slack
    if config is None:
        return Dead("the policy has no channels.slack any more")
    try:
        return Sent(_send(Workspace(config), message, runtime))
    except Refused as error:
        return Dead(_advice(error.code))
    except SlackError as error:
        return Retry(str(error), error.after)
    except SecretUnavailable as error:
        return Retry(f"the bot token is not available: {error}")
    except MaskingFailed:
        return Dead("the request cannot be masked")


def refresh(workspace: Workspace, sent: OutboundMessage, runtime: Runtime) -> None:
    """Make a card true at once, for whoever has just clicked on an old one. Raises the errors of the client."""
    request = ApprovalRequest.objects.prefetch_related("votes").get(pk=sent.approval)
    _edit(workspace, sent, facts_of(request, runtime.policies.reload(), database_now()))


def cards_of(approval: str, **where: Any) -> list[OutboundMessage]:
    """Return the messages that are cards of a request, the oldest first."""
    rows = OutboundMessage.objects.filter(approval=approval, channel="slack", **where).order_by("id")
    return [row for row in rows if row.ref.get("card")]


def adopt(workspace: Workspace, message_id: str, approval: str, channel: str, ts: str) -> OutboundMessage | None:
    """Return the card that somebody clicked before it was written down where it stands; None when it is none of ours.

    Whoever posted it is about to write that down, or died before: then nobody posts it again. Raises the errors of
    the client.
    """
    rows = OutboundMessage.objects.filter(pk=message_id, approval=approval, channel="slack")
    if not rows.filter(status=OutboundMessage.Status.QUEUED).exists():
        return None
    whose = workspace.identity()
    ref = {"channel": channel, "ts": ts, "team": whose.team, "enterprise": whose.enterprise, "card": True}
    sent = {"ref": ref, "status": OutboundMessage.Status.SENT, "sent_at": database_now()}
    rows.filter(status=OutboundMessage.Status.QUEUED).update(**sent)
    return next((one for one in rows if (one.ref.get("channel"), one.ref.get("ts")) == (channel, ts)), None)


def _send(workspace: Workspace, message: OutboundMessage, runtime: Runtime) -> dict[str, Any]:
    if message.subject:
        return _posted(workspace, message.target, alert.message_of(policy_notice.notice_of(message, runtime)))
    if not message.approval:
        return _posted(workspace, message.target, probe.message_of(message))
    request = ApprovalRequest.objects.prefetch_related("votes").get(pk=message.approval)
    facts = facts_of(request, runtime.policies.reload(), database_now())
    cards = cards_of(message.approval, target=message.target)
    if cards and not _edit(workspace, cards[-1], facts) and facts.is_open:
        cards = []  # somebody deleted it, and it is still needed
    if not cards:
        shown = card(facts, message.pk)
        return _posted(workspace, message.target, shown, bare(facts)) | {"card": True, **_state(shown, facts)}
    return _say(workspace, cards[-1], message.event, facts)


def _edit(workspace: Workspace, sent: OutboundMessage, facts: Facts) -> bool:
    """Make one card true; say whether it is still there."""
    shown = card(facts, sent.pk)
    ref = sent.ref
    if ref.get("gone"):
        return False
    if ref.items() >= _state(shown, facts).items():
        return True
    try:
        _smaller_if_refused(lambda made: workspace.update(ref["channel"], ref["ts"], made), shown, bare(facts))
    except Refused as error:
        if error.code not in GONE:
            raise
        sent.ref = ref | {"gone": error.code}
    else:
        sent.ref = ref | _state(shown, facts)
    OutboundMessage.objects.filter(pk=sent.pk).update(ref=sent.ref)
    return "gone" not in sent.ref


def _say(workspace: Workspace, sent: OutboundMessage, event: str, facts: Facts) -> dict[str, Any]:
    """Say in the thread of a card what happened, if the card does not say it all or is gone."""
    said = note(event, facts)
    if said is None or sent.ref.get("gone"):
        return {}
    _wait_for_turn(sent.target)
    return workspace.post(sent.ref["channel"], said, thread=sent.ref["ts"], broadcast=event in LOUD)


def _posted(workspace: Workspace, target: str, shown: Message, smaller: Message | None = None) -> dict[str, Any]:
    """Post a message, and return what a click on it is compared with."""
    whose = workspace.identity()
    _wait_for_turn(target)
    ref: dict[str, str] = _smaller_if_refused(lambda made: workspace.post(target, made), shown, smaller or shown)
    return {**ref, "team": whose.team, "enterprise": whose.enterprise}


def _smaller_if_refused(send: Callable[[Message], Any], shown: Message, smaller: Message) -> Any:
    """Send a message; if Slack finds it too large after all, the smallest one in its place."""
    try:
        return send(shown)
    except Refused as error:
        if error.code not in TOO_MUCH:
            raise
        return send(smaller)


def _wait_for_turn(channel: str) -> None:
    """Keep this process to a message a second in one channel, after a few at once; across processes Slack itself tells.

    Each message pays for its second; who would be ahead by more than those few waits until they are not.
    """
    key = settings.SLACK_API_URL, channel
    with _turns:
        now = time.monotonic()
        for old in [known for known, until in _paid_until.items() if until < now]:
            del _paid_until[old]
        ahead = _paid_until.get(key, now) - now
        _paid_until[key] = now + ahead + SPACING
    time.sleep(max(0.0, ahead - (AT_ONCE - 1) * SPACING))


def _state(shown: Message, facts: Facts) -> dict[str, str]:
    """Return by what it is known that a card is true, and what whoever decides by it has before them."""
    digest = hashlib.sha256(json.dumps([shown.text, shown.blocks]).encode()).hexdigest()
    return {"shown": digest[:16], "view": facts.view}


_ADVICE: Final = {
    "not_in_channel": "invite the app to the channel",
    "channel_not_found": "no such channel, or a private one that the app is not in",
    "is_archived": "the channel is archived",
    "invalid_auth": "the bot token is not valid",
    "not_authed": "the bot token is not valid",
    "token_revoked": "the bot token was revoked; install the app again",
    "token_expired": "the bot token has expired",
    "account_inactive": "the app was removed from the workspace",
    "missing_scope": "the app lacks a permission; see docs/slack.md",
    "wrong_team": "the bot token belongs to another workspace than channels.slack.team",
}


def _advice(code: str) -> str:
    return f"Slack answered {code}: {_ADVICE[code]}" if code in _ADVICE else f"Slack answered {code}"
