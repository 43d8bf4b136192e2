"""What in a tool's definition should make an admin look twice: hidden characters, text meant to steer the model.

A flag is a hint to a person and decides nothing: who means harm can word it otherwise. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from unicodedata import category

from approvals.rules.folding import EvaluationError, plain

LONG_DESCRIPTION = 2_000
# What is longer is flagged for its length and read up to here.
READ_CHARACTERS = 20_000
MOST_TEXTS = 5_000
DEEPEST = 64
MOST_FLAGS = 20
LONGEST_PLACE = 200

_PLAIN_CONTROLS = frozenset("\n\r\t")
_HIDDEN_CLASSES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# A picture may carry these: its colourful form, and the joiner of pictures made of several.
_OF_PICTURES = frozenset("\ufe0f\u200d")
_SELECTORS = re.compile("[\ufe00-\ufe0e\U000e0100-\U000e01ef]")


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing to look at: why, and where in the definition, as a path of names."""

    reason: str
    place: str


def _patterns(*texts: str) -> Callable[[str], bool]:
    found = re.compile("|".join(f"(?:{text})" for text in texts), re.DOTALL)
    return lambda text: found.search(text) is not None


# All of these look at folded text: lower case, no compatibility forms, nothing invisible in between.
_WORDINGS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (
        "tells the model to set other instructions aside",
        _patterns(
            r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instructions?|rules|prompts?|guidelines"
            r"|polic(?:y|ies)|what you were told)\b",
            r"\b(?:do not|don't|never|must not)\b.{0,20}\b(?:use|call|trust)\b.{0,20}\b(?:any|the) other tools?\b",
            r"\binstead of (?:any|all|the) other tools?\b",
        ),
    ),
    (
        "tells the model to keep something from people",
        _patterns(
            r"\b(?:do not|don't|never|without|must not|avoid)\b.{0,20}\b(?:tell|mention|inform|notify|reveal|disclose"
            r"|show|alert|warn|ask)(?:ing)?\b.{0,25}\b(?:user|users|human|humans|anyone|anybody)\b",
            r"\b(?:keep|hide)\b.{0,30}\bfrom the (?:user|human)\b",
        ),
    ),
    (
        "has markup as of an instruction to the model",
        _patterns(
            r"</?\s*(?:important|system|instructions?|secret|hidden|critical|assistant|admin|override)\s*/?>", r"<!--"
        ),
    ),
    (
        "names files that hold keys or credentials",
        _patterns(
            r"\.ssh\b",
            r"\bid_(?:rsa|dsa|ecdsa|ed25519)\b",
            r"\.aws/",
            r"/etc/(?:passwd|shadow)\b",
            r"(?<![a-z0-9])\.env\b",
            r"\.(?:netrc|npmrc|pypirc|pgpass)\b",
            r"\.kube/config\b",
            r"\.cursor/",
            r"\bmcp\.json\b",
        ),
    ),
    (
        "asks for secrets or for what was said to be handed over",
        _patterns(
            r"\b(?:send|forward|upload|pass|attach|include|append|transmit|copy|put|paste)\b.{0,60}\b(?:private keys?"
            r"|api keys?|access tokens?|passwords?|credentials|secrets|environment variables|system prompt"
            r"|conversation history|chat history|previous messages)\b",
            r"\bexfiltrat",
            r"\b(?:send|forward|upload|post|transmit)\b.{0,60}\bhttps?://",
        ),
    ),
)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{100,}={0,2}|(?:[0-9a-fA-F]{2}\s?){60,}")
_ADDRESS = re.compile(r"https?://(?!(?:[\w-]+\.)*example\.(?:com|org|net)\b|localhost\b|127\.0\.0\.1\b)", re.IGNORECASE)
# Where an address is the language of schemas, not text for a model.
_OF_SCHEMAS = frozenset({"$schema", "$id", "$ref"})


def flags_of(definition: Any) -> list[Flag]:
    """Return what stands out in a definition as its server gave it, the first MOST_FLAGS of it; none is a good sign."""
    found: list[Flag] = []
    try:
        for place, text in _texts(definition):
            found += [flag for flag in _of_text(place[:LONGEST_PLACE], text) if flag not in found]
            if len(found) >= MOST_FLAGS:
                break
    except _TooMuchError:
        found.append(Flag("is nested too deep, or too much, to be read to its end", "the definition"))
    return found[:MOST_FLAGS]


class _TooMuchError(Exception):
    pass


def _texts(definition: Any) -> Iterator[tuple[str, str]]:
    """Yield every text with its path, names of members too: a parameter's name is read by the model as well.

    Raises _TooMuchError.
    """
    waiting: list[tuple[str, Any, int]] = [("", definition, 0)]
    for _ in range(MOST_TEXTS):
        if not waiting:
            return
        place, value, depth = waiting.pop()
        if isinstance(value, str):
            yield place or "text", value
        elif depth > DEEPEST:
            break
        elif isinstance(value, Mapping):
            for name, inner in islice(value.items(), MOST_TEXTS):
                below = f"{place}.{name}" if place else str(name)
                yield f"the name {below}", str(name)
                waiting.append((below, inner, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{place}[{index}]", inner, depth + 1) for index, inner in enumerate(value[:MOST_TEXTS])]
    raise _TooMuchError


def _of_text(place: str, text: str) -> Iterator[Flag]:
    if _hides_something(text):
        yield Flag("has characters that cannot be seen, or that turn the direction of text", place)
    if len(text) > LONG_DESCRIPTION:
        yield Flag("is very long", place)
    read = text[:READ_CHARACTERS]
    try:
        folded = " ".join(plain(read).casefold().split())
    except EvaluationError:
        yield Flag("has marks piled upon marks, so that it cannot be read", place)
        return
    for reason, wording in _WORDINGS:
        if wording(folded):
            yield Flag(reason, place)
    if _ENCODED.search(read):
        yield Flag("has a block of encoded text", place)
    if _ADDRESS.search(read) and place.rsplit(".", 1)[-1] not in _OF_SCHEMAS:
        yield Flag("has a web address", place)


def _hides_something(text: str) -> bool:
    if text.isascii() and text.isprintable():
        return False
    before = ""
    for one in text:
        if _is_hidden(one, before):
            return True
        before = one
    return False


def _is_hidden(one: str, before: str) -> bool:
    if one in _PLAIN_CONTROLS:
        return False
    if one in _OF_PICTURES:
        return not (before.isdigit() or before in _OF_PICTURES or (before and category(before) in {"So", "Sk", "Po"}))
    return one in _BLANK or category(one) in _HIDDEN_CLASSES or _SELECTORS.match(one) is not None
