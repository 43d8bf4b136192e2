"""The modals in which an approver says why, and for how long. Pure: facts in, JSON out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from approvals.config.values import format_duration
from approvals.slack import blocks
from approvals.slack.blocks import said

if TYPE_CHECKING:
    from approvals.rules.remembering import Memory
    from approvals.slack.payloads import About

DECIDE: Final = "holdgate_decide"
COMMENT: Final = "comment"
SCOPE: Final = "scope"
AGE: Final = "age"
# Slack's limit of a text field; the gateway itself would take more.
LONGEST_COMMENT: Final = 3_000

_AGES: Final = ((300, "5 minutes"), (900, "15 minutes"), (3600, "1 hour"), (14400, "4 hours"), (86400, "1 day"))

_SCOPES: Final = {
    "same_arguments": "The same call with the same arguments",
    "same_tool": "Every call of this tool, whatever its arguments",
}

View = dict[str, Any]


def deny(about: About, *, needs_comment: bool) -> View:
    """Return the modal of a denial."""
    label = "Why?" if needs_comment else "Why? (optional)"
    return _view("Deny this call", "Deny", about, [_comment(label, optional=not needs_comment)])


def approve(about: About) -> View:
    """Return the modal of an approval that needs a comment."""
    return _view("Approve this call", "Approve", about, [_comment("Why? The rule asks for a comment.", optional=False)])


def approve_for(about: About, offers: Sequence[Memory], *, needs_comment: bool) -> View:
    """Return the modal of an approval that is remembered. `offers` is what the rule allows, one for each scope."""
    longest = min((one.max_age for one in offers), default=0)
    ages = [(str(seconds), words) for seconds, words in _AGES if seconds < longest]
    ages.append((str(longest), f"{format_duration(longest)}, the longest that the rule allows"))
    uses = min((one.max_uses for one in offers), default=0)
    asked = [
        blocks.lines([[said(f"The caller may then make such calls up to {uses} times without asking.")]]),
        _choice("Which calls", SCOPE, [(one.scope, _SCOPES[one.scope]) for one in offers] or [("", "None")]),
        _choice("For how long", AGE, ages),
        _comment("Why?" if needs_comment else "Why? (optional)", optional=not needs_comment),
    ]
    return _view("Approve for some time", "Approve", about, asked)


def notice(title: str, text: str) -> View:
    """Return a modal that says something and asks for nothing."""
    return {
        "type": "modal",
        "title": blocks.plain(title, 24),
        "close": blocks.plain("Close", 24),
        "blocks": [blocks.lines([[said(blocks.cut(text, blocks.PREFORMATTED) or "–")]])],
    }


def errors(field: str, text: str) -> dict[str, Any]:
    """Return the answer to a modal sent in that keeps it open, with a message at one field."""
    return {"response_action": "errors", "errors": {field: blocks.cut(text, 2_000)}}


def replaced(title: str, text: str) -> dict[str, Any]:
    """Return the answer to a modal sent in that shows a message in its place."""
    return {"response_action": "update", "view": notice(title, text)}


def _view(title: str, submit: str, about: About, asked: list[dict[str, Any]]) -> View:
    return {
        "type": "modal",
        "callback_id": DECIDE,
        "private_metadata": about.document(),
        "title": blocks.plain(title, 24),
        "submit": blocks.plain(submit, 24),
        "close": blocks.plain("Cancel", 24),
        "blocks": asked,
    }


def _comment(label: str, *, optional: bool) -> dict[str, Any]:
    field = {"type": "plain_text_input", "action_id": COMMENT, "multiline": True, "max_length": LONGEST_COMMENT}
    return {
        "type": "input",
        "block_id": COMMENT,
        "label": blocks.plain(label, 200),
        "hint": blocks.plain("The caller and everybody on this request will read it.", 200),
        "optional": optional,
        "element": field,
    }


def _choice(label: str, name: str, options: Sequence[tuple[str, str]]) -> dict[str, Any]:
    shown = [{"text": blocks.plain(text, 75), "value": value} for value, text in options]
    select = {"type": "radio_buttons", "action_id": name, "options": shown, "initial_option": shown[0]}
    return {"type": "input", "block_id": name, "label": blocks.plain(label, 200), "element": select}
