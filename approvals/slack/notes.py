"""What the thread below a card says of each event. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from approvals.slack import blocks
from approvals.slack.blocks import said
from approvals.slack.card import Message

if TYPE_CHECKING:
    from approvals.slack.card import Facts

# Told to the whole channel again, not to the followers of the thread alone.
LOUD: Final = frozenset({"reminded", "escalated", "nudged", "break_glass"})
_SENTENCES: Final = {
    "reminded": "Still waiting for a decision.",
    "nudged": "The requester asks again for a decision.",
    "escalated": "Nobody has decided yet. More people may decide now.",
    "break_glass": "Approved in an emergency, without those whom the rule asks. A second person must review it.",
    "reviewed": "A second person has looked at the approval in an emergency.",
}


def note(event: str, facts: Facts) -> Message | None:
    """Return what the thread says of an event, or None when the card says it all."""
    if event == "requested":
        return None
    if event == "voted":
        text = _vote(facts)
    elif event == facts.status:
        text = facts.standing
    else:
        text = _SENTENCES.get(event, f"{event.replace('_', ' ').capitalize()}.")
    if event in {"reminded", "escalated", "nudged"}:
        text = f"{text} Needs {blocks.one_line('; '.join(facts.needs))}."
    return Message(blocks.escaped(text), [blocks.lines([[said(text)]])]) if text else None


def _vote(facts: Facts) -> str:
    if not facts.votes:
        return ""
    last = facts.votes[-1]
    did = "voted to approve" if last.decision == "approve" else "denied it"
    comment = f": {blocks.one_line(last.comment)}" if last.comment else "."
    return f"{blocks.one_line(last.by, 100)} {did} ({last.via}){comment}"
