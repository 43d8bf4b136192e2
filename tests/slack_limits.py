"""What Slack accepts of a message or a view, written down from its documentation; each breach has Slack's own code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
# Not documented: a message of more than some 13,000 characters of blocks is refused, in whatever spelling it counts.
MESSAGE_SIZE = 13_000
TEXT = 40_000
VIEW_SIZE = 250_000
_ELEMENTS = {"button", "overflow", "static_select", "plain_text_input", "radio_buttons", "checkboxes"}
_RICH = {"rich_text_section", "rich_text_preformatted", "rich_text_quote", "rich_text_list"}


class Refused(Exception):
    """Slack's error code, and where the breach is."""

    def __init__(self, code: str, where: str = "") -> None:
        super().__init__(f"{code}: {where}")
        self.code = code


def _need(holds: bool, where: str, code: str = "invalid_blocks") -> None:
    if not holds:
        raise Refused(code, where)


def check_message(text: Any, blocks: Any) -> None:
    """Raise Refused for a message that Slack would not take."""
    _need(isinstance(text, str) and bool(text or blocks), "neither text nor blocks", "no_text")
    _need(len(text) <= TEXT, "text", "msg_too_long")
    _need(isinstance(blocks, list) and len(blocks) <= MESSAGE_BLOCKS, "number of blocks")
    _need(len(json.dumps(blocks)) <= MESSAGE_SIZE, "size of all blocks", "msg_blocks_too_long")
    _check_blocks(blocks)


def check_view(view: Any) -> None:
    """Raise Refused for a modal that Slack would not open."""
    _need(isinstance(view, dict) and view.get("type") == "modal", "type", "invalid_arguments")
    _need(1 <= len(view["blocks"]) <= VIEW_BLOCKS, "number of blocks", "invalid_arguments")
    for name in ("title", "submit", "close"):
        if name in view:
            _plain(view[name], 24, name)
    _need(len(view.get("private_metadata", "")) <= 3000, "private_metadata", "invalid_arguments")
    _need(len(view.get("callback_id", "")) <= 255, "callback_id", "invalid_arguments")
    _need(len(json.dumps(view)) <= VIEW_SIZE, "size", "view_too_large")
    _need("submit" in view or not any(block["type"] == "input" for block in view["blocks"]), "submit")
    _check_blocks(view["blocks"])


def _check_blocks(blocks: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        name = block.get("block_id")
        if name is not None:
            _need(0 < len(name) <= 255 and name not in seen, f"block {index}: block_id")
            seen.add(name)
        check = _BLOCKS.get(block.get("type", ""))
        _need(check is not None, f"block {index}: type {block.get('type')!r}")
        assert check is not None
        check(block, f"block {index}")


def _header(block: dict[str, Any], where: str) -> None:
    _plain(block["text"], 150, where)


def _section(block: dict[str, Any], where: str) -> None:
    if "text" in block:
        _text(block["text"], 3000, where)
    fields = block.get("fields", [])
    _need(len(fields) <= 10 and ("text" in block or bool(fields)), where)
    for field in fields:
        _text(field, 2000, where)


def _context(block: dict[str, Any], where: str) -> None:
    _need(1 <= len(block["elements"]) <= 10, where)
    for element in block["elements"]:
        _text(element, 2000, where)


def _actions(block: dict[str, Any], where: str) -> None:
    _need(1 <= len(block["elements"]) <= 25, where)
    names = [element.get("action_id") for element in block["elements"]]
    _need(len(set(names)) == len(names), f"{where}: action_id twice")
    for element in block["elements"]:
        _element(element, where)


def _input(block: dict[str, Any], where: str) -> None:
    _plain(block["label"], 2000, where)
    if "hint" in block:
        _plain(block["hint"], 2000, where)
    _element(block["element"], where)


def _rich_text(block: dict[str, Any], where: str) -> None:
    _need(len(block["elements"]) >= 1, where)
    for element in block["elements"]:
        _need(element["type"] in _RICH, f"{where}: {element['type']}")
        _need(len(element["elements"]) >= 1, f"{where}: empty {element['type']}")
        for part in element["elements"]:
            _rich_part(part, where)


def _rich_part(part: dict[str, Any], where: str) -> None:
    if part["type"] == "text":
        _need(isinstance(part["text"], str) and 1 <= len(part["text"]) <= 3000, f"{where}: length of a text")
        _need(set(part.get("style", {})) <= {"bold", "italic", "strike", "code"}, f"{where}: style")
        part["text"].encode("utf-8")
    elif part["type"] == "date":
        _need(isinstance(part["timestamp"], int) and "{" in part["format"], f"{where}: date")
    else:
        _need(part["type"] in {"link", "emoji", "user", "usergroup", "channel", "broadcast"}, where)


def _element(element: dict[str, Any], where: str) -> None:
    _need(element.get("type") in _ELEMENTS, f"{where}: {element.get('type')}")
    _need(0 < len(element["action_id"]) <= 255, f"{where}: action_id")
    if element["type"] == "button":
        _plain(element["text"], 75, where)
        _need(len(element.get("value", "")) <= 2000, f"{where}: value")
        url = element.get("url", "https://a")
        _need(len(url) <= 3000 and url.startswith(("https://", "http://")), f"{where}: url")
        _need(len(element.get("accessibility_label", "")) <= 75, f"{where}: accessibility_label")
        _need(element.get("style", "primary") in {"primary", "danger"}, f"{where}: style")
    elif element["type"] == "plain_text_input":
        _need(1 <= element.get("max_length", 3000) <= 3000, f"{where}: max_length")
        _need(len(element.get("initial_value", "")) <= 3000, f"{where}: initial_value")
    else:
        _need(1 <= len(element["options"]) <= 100, f"{where}: options")
        for option in element["options"]:
            _plain(option["text"], 75, where)
            _need(len(option["value"]) <= 150, f"{where}: value of an option")


def _plain(text: dict[str, Any], longest: int, where: str) -> None:
    _need(text.get("type") == "plain_text", f"{where}: plain_text")
    _text(text, longest, where)


def _text(text: dict[str, Any], longest: int, where: str) -> None:
    _need(text.get("type") in {"plain_text", "mrkdwn"}, f"{where}: type of a text")
    _need(isinstance(text["text"], str) and 1 <= len(text["text"]) <= longest, f"{where}: length of a text")


_BLOCKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "rich_text": _rich_text,
}


def texts(value: Any) -> Iterator[str]:
    """Yield every text that people would read in blocks or in a view."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)
