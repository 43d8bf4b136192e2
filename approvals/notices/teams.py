"""A card for Microsoft Teams, posted to the address of a workflow ("When a Teams webhook request is received").

It tells and links; nothing can be decided in it. Untrusted text stands in TextRun alone, which knows no Markdown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from approvals.notices.notice import Notice

# Teams refuses a message of 28 KB; some of it is wrapped around ours on the way.
LARGEST: Final = 24 * 1024
_CARD: Final = "application/vnd.microsoft.card.adaptive"


def card_of(notice: Notice) -> bytes:
    """Return the message for the workflow, within the limit of Teams whatever the call carries."""
    body: list[dict[str, Any]] = [_block(notice.title, size="Large", weight="Bolder")]
    body += [_fact(name, value) for name, value in notice.facts]
    if notice.asks:
        body.append(_block(notice.shown_arguments, fontType="Monospace"))
    message = _message(body, notice)
    # Characters outside ASCII and those that JSON escapes take more room than was counted on.
    return message if len(message) <= LARGEST else _message(body[:-1], notice)


def _message(body: list[dict[str, Any]], notice: Notice) -> bytes:
    card = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": "Open in Holdgate", "url": notice.url}],
    }
    attachment = {"contentType": _CARD, "contentUrl": None, "content": card}
    return orjson.dumps({"type": "message", "attachments": [attachment]})


def _block(value: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": _inert(value), **style}]}


def _fact(name: str, value: str) -> dict[str, Any]:
    runs = [
        {"type": "TextRun", "text": f"{name}: ", "weight": "Bolder"},
        {"type": "TextRun", "text": _inert(value)},
    ]
    return {"type": "RichTextBlock", "inlines": runs, "spacing": "Small"}


def _inert(value: str) -> str:
    """Break up what Adaptive Cards replace in any text: {{DATE(…)}}, {{TIME(…)}} and ${…} of templates."""
    return value.replace("{{", "{ {").replace("${", "$ {")
