"""From SQL text to tokens, refusing first what a database could read otherwise than we do. Pure.

A statement is judged by our reading and executed by the server's. Where two readings differ, something can be hidden:
a comment that one of them takes for code, a quote that ends earlier for the other. Such texts are not examined at all.
The places are those where the tokenizer of sqlglot and the lexical rules of PostgreSQL 17 (§4.1), MySQL 8.4 (§11),
SQLite ("SQL As Understood By SQLite") and Transact-SQL part ways, or where a server's own settings move its rules.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect as Tongue
from sqlglot.errors import SqlglotError

Dialect = Literal["postgres", "mysql", "sqlite", "tsql"]
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)
MOST_BYTES: Final = 16 << 10
DEEPEST: Final = 100

STRINGS: Final = frozenset(kind for kind in TokenType if kind.name.endswith("STRING"))
_OPENING: Final = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSING: Final = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})

# Everywhere: control characters, a carriage return alone (some end a comment there), a backslash before a quote (who
# escapes by it is a setting), a comment that is executed or carries settings, one within another (who nests?), and what
# begins a comment of a template language for the tokenizer alone.
_TREACHEROUS: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\\['\"`]|/\*(?:[!+]|M!)|/\*(?:[^*]|\*(?!/))*/\*|\{[#%{]"
)
_TREACHEROUS_IN: Final[dict[Dialect, re.Pattern[str]]] = {
    # Dollar quotes begin in the middle of a word for one, and not for the other; U&'' has escapes of its own.
    "postgres": re.compile(r"\$\w*\$|[uU]&['\"]"),
    # Two dashes begin a comment only before white space; what a version comment or an introducer hides.
    "mysql": re.compile(r"--(?!\s|\Z)|\$\w*\$|\\N"),
    "sqlite": re.compile(r"\]\]|\$\w*\$"),
    "tsql": re.compile(r"\]\]|\$\w*\$"),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """The tokens of one statement, and the whole text that they were read from."""

    tokens: tuple[Token, ...]
    text: str
    dialect: Dialect


class Opaque(Exception):
    """The text is not examined: nobody can tell from here what a server would make of it."""


def statements(text: str, dialect: Dialect) -> list[Statement]:
    """Return each statement of the text; empty ones are left out. Raises Opaque for what cannot be read for sure."""
    if len(text) > MOST_BYTES or len(text.encode(errors="replace")) > MOST_BYTES:
        raise Opaque("longer than 16 KiB")
    if _TREACHEROUS.search(text) or _TREACHEROUS_IN[dialect].search(text):
        raise Opaque("servers read this differently")
    try:
        tokens = Tongue.get_or_raise(dialect).tokenize(text)
    except (SqlglotError, RecursionError) as error:
        raise Opaque("no tokens of this dialect") from error
    if not text.isascii() and _is_strange(text, tokens):
        raise Opaque("characters outside quotes that are no letters")
    _check_depth(tokens)
    found: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            found.append([])
        else:
            found[-1].append(token)
    return [Statement(tuple(tokens), text, dialect) for tokens in found if tokens]


def _is_strange(text: str, tokens: list[Token]) -> bool:
    """Say whether something outside quotes is white space or nothing to one reader, and not to another."""
    bare, at = [], 0
    for token in tokens:
        if token.token_type in STRINGS or token.token_type is TokenType.IDENTIFIER:
            bare.append(text[at : token.start])
            at = token.end + 1
    bare.append(text[at:])
    return any(
        not character.isascii() and unicodedata.category(character)[0] not in "LN" for character in "".join(bare)
    )


def _check_depth(tokens: list[Token]) -> None:
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if depth > DEEPEST:
            raise Opaque("nested more than 100 deep")
