"""YAML text to plain data in which every scalar is text, with each node's line. No tag, anchor or alias."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from approvals.config.problems import Location, Problem, key_path

LONGEST_FILE: Final = 1 << 20
_DEEPEST: Final = 32
_MOST_NODES: Final = 100_000
_MOST_REPEATED: Final = 100
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# JSON writes a character outside the basic plane as two escapes; YAML has one escape for it.
_JSON_ESCAPE: Final = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
# Bare in a string of JSON, but line breaks or forbidden in YAML.
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(slots=True)
class Document:
    """What was read: the data, the line of each node, and what was wrong with the text itself."""

    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, location: Location) -> int:
        """Return the line of a node, or of the nearest one around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def problem(self, location: Location, reason: str) -> Problem:
        """Return a problem with its line and key path."""
        return Problem(self.line(location), key_path(location, self.data), reason)


@dataclass(slots=True)
class _Open:
    """A mapping or a list whose end was not read yet. `key` is the key that waits for its value."""

    value: dict[str, Any] | list[Any]
    location: Location
    key: str | None = None
    skipping: bool = False


class _Stop(Exception):
    """Reading on makes no sense; the problem was noted."""


def read(text: str) -> Document:
    """Return what the text says. Never raises for bad text: what is wrong with it is in `problems`."""
    document = Document()
    if len(text) > LONGEST_FILE:
        document.problems.append(Problem(0, "", f"the file is longer than {LONGEST_FILE} characters"))
        return document
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        document.problems.append(Problem(0, "", "the file is not Unicode text"))
        return document
    try:
        _Reader(document).read(_as_yaml(text))
    except _Stop:
        document.data = None
    except yaml.YAMLError as error:
        document.data = None
        document.problems.append(_syntax(error, text))
    return document


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.problem, error.context)))
        return Problem(mark.line + 1 if mark else 0, "", f"is not YAML: {reason}")
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        return Problem(text.count("\n", 0, position) + 1, "", f"is not YAML: {error.reason}")
    return Problem(0, "", "is not YAML")


def _as_yaml(text: str) -> str:
    """Return JSON in the spelling that YAML shares with it; other text as it is."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return text

    def joined(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        return f"\\U{0x10000 + (int(found[1], 16) - 0xD800) * 0x400 + int(found[2], 16) - 0xDC00:08x}"

    # A tab is no indentation in YAML, and cannot stand bare inside a string of JSON.
    plain = _JSON_ESCAPE.sub(joined, text.replace("\t", " "))
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)


class _Reader:
    """Builds the data from parser events, so that depth and size are bounded before anything is built."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._stack: list[_Open] = []
        self._documents = 0
        self._nodes = 0

    def read(self, text: str) -> None:
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event)
        if not self._documents or self._document.data is None:
            self._note(1, "the file is empty")

    def _take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop(line, "a second document; there is one configuration in a file")
            case yaml.AliasEvent():
                self._stop(line, f"alias *{event.anchor}: anchors and aliases are not supported")
            case yaml.ScalarEvent():
                self._check(event, line)
                self._scalar(event.value, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check(event, line)
                self._open({} if isinstance(event, yaml.MappingStartEvent) else [], line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._stack.pop()

    def _check(self, event: yaml.NodeEvent, line: int) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(self._stack) >= _DEEPEST:
            self._stop(line, f"too large: at most {_MOST_NODES} values, at most {_DEEPEST} levels deep")
        if event.anchor is not None:
            self._stop(line, f"anchor &{event.anchor}: anchors and aliases are not supported")
        if getattr(event, "tag", None) not in (None, "!"):
            self._stop(line, "tags are not supported; every value is read as it is written")

    def _scalar(self, value: str, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(top, value, line)
        else:
            self._place(value, line)

    def _key(self, top: _Open, key: str, line: int) -> None:
        top.key = key
        top.skipping = key in top.value
        if top.skipping:
            location = (*top.location, key)
            first = self._document.line(location)
            reason = f"stands twice; the first is on line {first}"
            self._document.problems.append(Problem(line, key_path(location, self._document.data), reason))
            if len(self._document.problems) > _MOST_REPEATED:
                self._stop(line, "too many keys stand twice")
        else:
            self._document.lines[*top.location, key] = line

    def _open(self, value: dict[str, Any] | list[Any], line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._stop(line, "a key must be plain text")
        location = self._place(value, line)
        self._stack.append(_Open(value, location))

    def _place(self, value: Any, line: int) -> Location:
        """Put a value in its place and return its location; that of a repeated key is read and dropped."""
        if not self._stack:
            self._document.data = value
            self._document.lines[()] = line
            return ()
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            location = (*top.location, len(top.value) - 1)
            self._document.lines[location] = line
            return location
        key, top.key = top.key or "", None
        if top.skipping:
            return (*top.location, key, "")
        top.value[key] = value
        return (*top.location, key)

    def _note(self, line: int, reason: str) -> None:
        self._document.problems.append(Problem(line, "", reason))

    def _stop(self, line: int, reason: str) -> None:
        self._note(line, reason)
        raise _Stop
