"""The few shapes of Block Kit that cards and modals are made of, each within Slack's limits whatever it is given. Pure.

What callers wrote stands in rich text alone: its text elements know no markup, so nothing in them can ping a channel,
pose as a link or leave its fence. Only the text of notifications is parsed by Slack; see `escaped`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from approvals.legible import Piece, pieces

Block = dict[str, Any]
Element = dict[str, Any]

# Slack's own limits are a little above; what is beyond them is refused with the whole message.
HEADER: Final = 150
BUTTON: Final = 75
NOTIFICATION: Final = 1_000
LINE: Final = 200
PARAGRAPH: Final = 500
PREFORMATTED: Final = 2_600
# Slack refuses a message of more than some 13,000 characters of blocks and says nowhere how it counts. This is counted
# in the longest spelling there is, in which a letter beyond ASCII takes six characters.
MESSAGE: Final = 11_500


def visible(text: str) -> str:
    """Return text with nothing in it that the eye would miss: invisible characters are named, gaps are counted."""
    return "".join(shown(piece) for piece in pieces(text))


def shown(piece: Piece) -> str:
    """Return a stretch of text with what is to be said of it in brackets."""
    if piece.kind == "mark":
        return f"⟨{piece.text}⟩"
    return f"{piece.text}⟨mixed alphabets⟩" if piece.kind == "foreign" else piece.text


def cut(text: str, longest: int) -> str:
    """Return at most so many characters, the last one an ellipsis when something is left out."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def one_line(text: str, longest: int = LINE) -> str:
    """Return hostile text as one visible line of at most so many characters; never empty."""
    return cut(" ".join(visible(text[: 2 * longest]).split()), longest) or "–"


def escaped(text: str) -> str:
    """Return text in which Slack finds no markup: no mention, no link, no formatting that spans it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def size(blocks: Sequence[Block]) -> int:
    """Return how long the blocks are in their longest spelling."""
    return len(json.dumps(blocks))


def plain(text: str, longest: int) -> Element:
    """Return a plain text object: a header, the label of a button."""
    return {"type": "plain_text", "text": cut(text, longest), "emoji": False}


def header(text: str) -> Block:
    """Return the heading of a message."""
    return {"type": "header", "text": plain(one_line(text, HEADER), HEADER)}


def said(text: str, *, bold: bool = False, code: bool = False) -> Element:
    """Return a stretch of text without markup."""
    style = {"bold": True} if bold else {"code": True} if code else {}
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def moment(seconds: int, form: str, otherwise: str) -> Element:
    """Return a time that each reader sees by their own clock."""
    return {"type": "date", "timestamp": seconds, "format": form, "fallback": otherwise}


def lines(rows: Iterable[Sequence[Element]]) -> Block:
    """Return one paragraph with each row on a line of its own."""
    elements: list[Element] = []
    for row in rows:
        elements += [*([said("\n")] if elements else []), *row]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def quote(text: str) -> Block:
    """Return what somebody wrote, set apart from what the gateway says."""
    shown = cut(visible(text[: 2 * PARAGRAPH]), PARAGRAPH).strip() or "–"
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [said(shown)]}]}


def preformatted(text: str) -> list[Block]:
    """Return text letter for letter, over as many blocks as it needs."""
    chunks = [text[at : at + PREFORMATTED] for at in range(0, len(text), PREFORMATTED)] or ["–"]
    return [
        {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [said(chunk)]}]}
        for chunk in chunks
    ]


def context(text: str) -> Block:
    """Return small print."""
    return {"type": "context", "elements": [plain(text, LINE)]}


def button(label: str, action: str, value: str, *, style: str = "", reads: str = "") -> Element:
    """Return a button; `reads` is what a screen reader says."""
    made = {"type": "button", "action_id": action, "text": plain(label, BUTTON), "value": value}
    return made | ({"style": style} if style else {}) | {"accessibility_label": cut(reads or label, BUTTON)}


def link_button(label: str, action: str, url: str) -> Element:
    """Return a button that opens a page."""
    return {"type": "button", "action_id": action, "text": plain(label, BUTTON), "url": url}


def actions(elements: Sequence[Element], name: str = "") -> Block:
    """Return a row of buttons; a click on one of them says the name of the row."""
    return {"type": "actions", "elements": list(elements)} | ({"block_id": name} if name else {})
