"""An alert about the configuration, as a message of its own: it tells and links, and nothing is decided in it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.slack import blocks
from approvals.slack.blocks import said
from approvals.slack.card import OPEN, Message

if TYPE_CHECKING:
    from approvals.notices.notice import Notice


def message_of(notice: Notice) -> Message:
    """Return the message within Slack's limits."""
    rows = [[said(f"{name}: ", bold=True), said(blocks.one_line(value))] for name, value in notice.facts]
    is_linked = notice.url.startswith("http")
    link = [blocks.actions([blocks.link_button("Open in Holdgate", OPEN, notice.url)])] if is_linked else []
    text = blocks.cut(blocks.escaped(blocks.one_line(notice.title)), blocks.NOTIFICATION)
    return Message(text, [blocks.header(notice.title), blocks.lines(rows), *link])
