"""What of a call can be searched: words of its masked arguments, and facets such as its tool. Pure.

Words and facets are spelled so that both databases take each for one term: PostgreSQL as a lexeme, SQLite as a token.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final

MOST_WORDS: Final = 2_000
LONGEST_WORD: Final = 64
MOST_ASKED: Final = 12
_WORD: Final = re.compile(r"[^\W_]+")
_ASKED: Final = re.compile(r"([^\W_]+)(\*?)")
_AT_ONCE: Final = 100_000


def facet(name: str, value: str) -> str:
    """Return the term of one property. No word of a call can be one: words have no `=`."""
    return "=" + hashlib.blake2b(f"{name}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def words(document: Any) -> list[str]:
    """Return the different words of a JSON document's keys and values, folded, sorted; MOST_WORDS of them at most."""
    found: dict[str, None] = {}
    for text in _texts(document):
        for at in range(0, len(text), _AT_ONCE):
            found.update(dict.fromkeys(_folded(text[at : at + _AT_ONCE])))
            if len(found) >= MOST_WORDS:
                return sorted(list(found)[:MOST_WORDS])
    return sorted(found)


def asked(text: str) -> tuple[str, ...]:
    """Return the words that a search asks for, MOST_ASKED at most; one that ends in `*` is the beginning of a word."""
    found = _ASKED.finditer(_fold(text))
    return tuple(dict.fromkeys(match[1][:LONGEST_WORD] + match[2] for match in found))[:MOST_ASKED]


def sqlite_query(every: Iterable[tuple[str, ...]], words: Iterable[str]) -> str:
    """Return FTS5's query for calls that have one facet of each group, and every word."""
    groups = [" OR ".join(f'"{term}"' for term in group) for group in every]
    spelled = [f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in words]
    return " AND ".join([*(f"({group})" for group in groups), *spelled])


def postgresql_query(every: Iterable[tuple[str, ...]], words: Iterable[str]) -> str:
    """Return the text of a tsquery for the same."""
    groups = [" | ".join(f"'{term}'" for term in group) for group in every]
    spelled = [f"'{word[:-1]}':*" if word.endswith("*") else f"'{word}'" for word in words]
    return " & ".join([*(f"({group})" for group in groups), *spelled])


def fits(facets: str, said: str, every: Iterable[tuple[str, ...]], words: Iterable[str]) -> bool:
    """Say the same of one call, by its facets and words as they are stored."""
    has, spoken = set(facets.split()), f" {said} "
    if not all(has.intersection(group) for group in every):
        return False
    return all(f" {word[:-1]}" in spoken if word.endswith("*") else f" {word} " in spoken for word in words)


def _folded(text: str) -> Iterator[str]:
    for match in _WORD.finditer(_fold(text)):
        yield match[0][:LONGEST_WORD]


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _texts(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            yield from at
            waiting.extend(reversed(at.values()))
        elif isinstance(at, list):
            waiting.extend(reversed(at))
        elif isinstance(at, str):
            yield at
        elif isinstance(at, int | float) and not isinstance(at, bool):
            yield str(at)
