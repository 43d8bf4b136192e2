"""The test message of a route: a card that stands for no request, whose button shows that clicks come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from approvals.slack import blocks
from approvals.slack.blocks import said
from approvals.slack.card import Message

if TYPE_CHECKING:
    from approvals.models import OutboundMessage

CLICK: Final = "holdgate_test"


def message_of(sent: OutboundMessage) -> Message:
    """Return the test message, before anybody has clicked."""
    text = "A test of Holdgate: nothing waits, and nothing runs. Press the button to see that clicks come back."
    pressed = blocks.actions([blocks.button("It works", CLICK, f"{sent.pk}:0", style="primary")])
    return Message(text, [blocks.header("Test of this channel"), blocks.lines([[said(text)]]), pressed])


def pressed(by: str) -> Message:
    """Return the test message after a click; `by` says who the gateway takes the user for."""
    text = f"The click arrived. {by}"
    return Message(blocks.escaped(text), [blocks.header("Test of this channel"), blocks.lines([[said(text)]])])
