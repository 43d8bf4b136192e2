"""What a SQL text does, as a set of kinds: `read` alone for what is provably one read, else what it writes, changes or
hides. Pure.

A read is exactly one statement: SELECT, WITH, VALUES, SHOW, or EXPLAIN without ANALYZE, that writes nowhere, locks no
row and calls no function that is not known to read. It is proved by an allow-list twice over: word by word, and node
by node of the tree that sqlglot's pure Python parser makes. Everything that cannot be told is `unparsable`, beside
the kinds of the words found in it, so that a rule against DDL also speaks of DDL in a wrapper.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlglot import TokenType, exp
from sqlglot.dialects.dialect import Dialect as Tongue
from sqlglot.errors import SqlglotError

from approvals.sql.functions import READ_ONLY
from approvals.sql.lexing import MOST_BYTES, STRINGS, Opaque, Statement, statements
from approvals.sql.words import ABOUT_RIGHTS, BEFORE_PARENTHESES, BY_FIRST_WORD, Kind, never_in_a_read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import Token

    from approvals.sql.lexing import Dialect

# Its warnings quote the text, and what callers send is not for the log.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

READ: Final[frozenset[Kind]] = frozenset({"read"})
UNPARSABLE: Final[frozenset[Kind]] = frozenset({"unparsable"})
# Longer texts are not remembered; they are rarely the same, and memory shall not grow with traffic.
_LONGEST_REMEMBERED: Final = 2048
_BEGINS_A_READ: Final = frozenset({"SELECT", "WITH", "VALUES", "("})
_SHOWS: Final = frozenset({"postgres", "mysql"})
_EXPLAINS: Final[dict[Dialect, re.Pattern[str]]] = {
    "postgres": re.compile(
        r"\s*EXPLAIN\s+(?:VERBOSE\s+)?(?:\((?:\s*(?:FORMAT|TEXT|XML|JSON|YAML|VERBOSE|COSTS|SETTINGS|GENERIC_PLAN|BUFFERS|"
        r"MEMORY|SUMMARY|TRUE|FALSE|ON|OFF)\b\s*,?)+\)\s*)?(?=[A-Z(])",
        re.IGNORECASE,
    ),
    "mysql": re.compile(
        r"\s*(?:EXPLAIN|DESCRIBE|DESC)\s+(?:FORMAT\s*=\s*(?:TRADITIONAL|JSON|TREE)\s+)?(?=[A-Z(])", re.I
    ),
    "sqlite": re.compile(r"\s*EXPLAIN\s+(?:QUERY\s+PLAN\s+)?(?=[A-Z(])", re.IGNORECASE),
}
_SHOW: Final = re.compile(r"(?!.*\bINTO\b)[^()]*\Z", re.IGNORECASE | re.DOTALL)
_DESCRIBED: Final = re.compile(r"\s*(?:EXPLAIN|DESCRIBE|DESC)\s+[\w.`]+\s*;?\s*\Z", re.IGNORECASE)
_EXPLAINED: Final = frozenset({"SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "("})
# A statement of a kind of its own inside another: the words that say so, wherever they stand.
_TELLTALE: Final = {
    **{word: kinds for word, kinds in BY_FIRST_WORD.items() if kinds & {"ddl", "dcl"} or word in {"SHUTDOWN", "KILL"}},
    **{word: BY_FIRST_WORD[word] for word in ("INSERT", "UPDATE", "DELETE", "MERGE")},
    "INTO": frozenset[Kind]({"write"}),
}
_WORD: Final = re.compile(r"[A-Za-z_]+")

# Nodes of which a tree that only reads is made. Functions are proved word by word.
_NODES: Final = (
    exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.With, exp.CTE, exp.From, exp.Join, exp.Where,
    exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.LimitOptions, exp.Offset,
    exp.Fetch, exp.Distinct, exp.Window, exp.WindowSpec, exp.Lateral, exp.Alias, exp.Aliases, exp.TableAlias,
    exp.Table, exp.Column, exp.ColumnDef, exp.ColumnPosition, exp.Identifier, exp.Star, exp.Literal, exp.National,
    exp.Null, exp.Boolean, exp.Placeholder, exp.Parameter, exp.SessionParameter, exp.Var, exp.Tuple, exp.Interval,
    exp.IntervalSpan, exp.DataType, exp.DataTypeParam, exp.PseudoType, exp.ObjectIdentifier, exp.Binary,
    exp.Unary, exp.Predicate, exp.Condition, exp.Func, exp.Filter, exp.WithinGroup, exp.IgnoreNulls,
    exp.RespectNulls, exp.HavingMax, exp.Cube, exp.Rollup, exp.GroupingSets, exp.TableSample, exp.AtTimeZone,
    exp.FromTimeZone, exp.Collate, exp.Slice, exp.PropertyEQ, exp.Kwarg, exp.JSONPath, exp.JSONPathPart,
    exp.JSONKeyValue, exp.JSONColumnDef, exp.JSONSchema, exp.OpenJSONColumnDef, exp.JSONValue, exp.WithTableHint,
    exp.IndexTableHint, exp.ForClause, exp.XMLKeyValueOption, exp.QueryOption, exp.Partition, exp.Pivot,
    exp.HexString, exp.BitString, exp.ByteString, exp.RawString, exp.UnicodeString, exp.Introducer,
    exp.CharacterSet, exp.ForIn, exp.Escape, exp.Paren, exp.Dot, exp.Bracket,
)  # fmt: skip


def kinds_of(text: str, dialect: Dialect | None) -> frozenset[Kind]:
    """Return what the text does, a server of this dialect given; `{"read"}` is provably a read and nothing else.

    Without a dialect nothing can be proved. The cost is bounded: texts above 16 KiB or nested more than 100 deep are
    `unparsable`; sqlglot takes about a millisecond for each 500 bytes.
    """
    if len(text) <= _LONGEST_REMEMBERED:
        return _remembered(text, dialect)
    return _kinds(text, dialect)


def _kinds(text: str, dialect: Dialect | None) -> frozenset[Kind]:
    if dialect is None:
        return UNPARSABLE
    if dialect == "mysql" and _DESCRIBED.match(text):
        return READ
    if dialect in _EXPLAINS and (explain := _EXPLAINS[dialect].match(text)):
        return _explained(text[explain.end() :], dialect)
    try:
        found = statements(text, dialect)
    except Opaque:
        return UNPARSABLE | _told(_WORD.findall(text[:MOST_BYTES]))
    kinds = [_kinds_of(statement) for statement in found]
    together = frozenset[Kind]().union(*kinds)
    # Exactly one statement; of several that read, nobody knows which answer the server would give.
    return together if len(kinds) == 1 else (together - READ) | (UNPARSABLE if together <= READ else frozenset())


_remembered = lru_cache(maxsize=512)(_kinds)


def _explained(text: str, dialect: Dialect) -> frozenset[Kind]:
    """A plan of anything is a read; but MySQL may run parts of it while it plans, so there it must be one itself."""
    if executes := re.match(r"ANALY[SZ]E\s+", text, re.IGNORECASE):
        return (_kinds(text[executes.end() :], dialect) - READ) or UNPARSABLE
    kinds = _kinds(text, dialect)
    first = _WORD.match(text.lstrip("(").lstrip())
    plain = first is not None and first[0].upper() in _EXPLAINED
    if kinds == READ or (dialect != "mysql" and plain and "unparsable" not in kinds and ";" not in text):
        return READ
    return (kinds - READ) or UNPARSABLE


def _kinds_of(statement: Statement) -> frozenset[Kind]:
    first = statement.tokens[0].text.upper()
    if first in _BEGINS_A_READ:
        return _of_query(statement)
    dialect, words = statement.dialect, _words(statement.tokens)
    if first == "SHOW" and dialect in _SHOWS:
        return READ if _SHOW.match(" ".join(token.text for token in statement.tokens)) else UNPARSABLE
    kinds = BY_FIRST_WORD.get(first)
    if kinds is None:
        return UNPARSABLE | _told(words)
    if "ddl" in kinds or first == "SET":
        kinds = kinds | (frozenset({"dcl"}) if ABOUT_RIGHTS.intersection(words[1:3]) else frozenset[Kind]())
    if first in {"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"}:
        return kinds | _of_write(statement)
    return kinds | (frozenset({"admin"}) if first == "COPY" and "PROGRAM" in words else frozenset[Kind]())


def _of_query(statement: Statement) -> frozenset[Kind]:
    """Return `read` for what is proved to read; else what was found in it."""
    words = _words(statement.tokens)
    betraying = [word for word in words if word in never_in_a_read(statement.dialect)]
    tree = _parsed(statement)
    if tree is None:
        return UNPARSABLE | _told(words)
    found = frozenset[Kind]().union(*(_of_node(node) for node in tree.walk()))
    if betraying:
        return (found | _told(betraying)) or UNPARSABLE
    if found:
        return found
    aliases = [alias.name for alias in tree.find_all(exp.TableAlias) if alias.args.get("columns")]
    assigns = any(token.token_type is TokenType.COLON_EQ for token in statement.tokens)
    is_read = (
        all(isinstance(node, _NODES) and not isinstance(node, exp.NextValueFor) for node in tree.walk())
        and _calls_known(statement, aliases)
        and not assigns
    )
    return READ if is_read else UNPARSABLE


def _of_node(node: exp.Expr) -> frozenset[Kind]:
    """Return what one node of a query's tree does beyond reading."""
    match node:
        case exp.Update() | exp.Delete():
            return frozenset({"write"}) if _is_bounded(node.args.get("where")) else frozenset({"write", "bulk_write"})
        case exp.Into():
            return frozenset({"write", "ddl"})
        case exp.DML() | exp.Lock():
            return frozenset({"write"})
        case exp.Create() | exp.Drop() | exp.Alter() | exp.TruncateTable():
            return frozenset({"ddl"})
    return frozenset()


def _of_write(statement: Statement) -> frozenset[Kind]:
    """Return what a statement that changes rows does beside: may it touch all of them, or call what nobody knows?"""
    tree = _parsed(statement)
    if tree is None:
        rows = (
            frozenset[Kind]({"bulk_write"}) if statement.tokens[0].text.upper() in {"UPDATE", "DELETE"} else READ - READ
        )
        return rows | UNPARSABLE | _told(_words(statement.tokens))
    known = READ_ONLY[statement.dialect]
    opaque = any(call.name.lower() not in known for call in tree.find_all(exp.Anonymous))
    found = frozenset[Kind]().union(*(_of_node(node) for node in tree.walk()))
    return found | UNPARSABLE if opaque else found


def _is_bounded(where: exp.Expr | None) -> bool:
    """Say whether a condition can leave rows out: every alternative speaks of a column, and not of itself alone."""
    if where is None:
        return False
    condition = where.this if isinstance(where, exp.Where) else where
    return _leaves_out(condition)


def _leaves_out(condition: exp.Expr) -> bool:
    if isinstance(condition, exp.Paren):
        return _leaves_out(condition.this)
    if isinstance(condition, exp.Or):
        return _leaves_out(condition.left) and _leaves_out(condition.right)
    if isinstance(condition, exp.And):
        return _leaves_out(condition.left) or _leaves_out(condition.right)
    if isinstance(condition, exp.Binary) and condition.left == condition.right:
        return False
    return condition.find(exp.Column) is not None


def _parsed(statement: Statement) -> exp.Expr | None:
    """Return the tree of one statement, or None when sqlglot's grammar does not know it."""
    if any(token.token_type is TokenType.COMMAND for token in statement.tokens):
        return None  # would be logged, and be no tree
    try:
        parser = Tongue.get_or_raise(statement.dialect).parser()
        trees = parser.parse(list(statement.tokens), statement.text)
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return None  # its grammar stumbles over hostile texts in ways of its own; what it does not read is no read
    return trees[0] if len(trees) == 1 else None


def _words(tokens: Iterable[Token]) -> list[str]:
    """Return what stands outside quotes, in capitals; the rest of a command that is not parsed counts word by word."""
    found: list[str] = []
    after_command = False
    for token in tokens:
        if token.token_type is TokenType.IDENTIFIER:
            continue
        if token.token_type in STRINGS:
            found += [word.upper() for word in _WORD.findall(token.text)] if after_command else []
        else:
            found.append(token.text.upper())
        after_command = token.token_type in {TokenType.COMMAND, TokenType.SHOW, TokenType.EXECUTE}
    return found


def _told(words: Iterable[str]) -> frozenset[Kind]:
    return frozenset[Kind]().union(*(_TELLTALE.get(word.upper(), frozenset()) for word in words))


def _calls_known(statement: Statement, aliases: Iterable[str]) -> bool:
    """Say whether everything that stands before a parenthesis is a known function, a keyword, or a table's own alias.

    An alias with columns, `t(a, b)`, may stand so once for each time that the tree has it, and no more.
    """
    spare = Counter(alias.lower() for alias in aliases)
    tokens = statement.tokens
    for before, name, paren in zip((None, None, *tokens), (None, *tokens), tokens, strict=False):
        if paren.token_type is not TokenType.L_PAREN or name is None:
            continue
        if name.token_type in STRINGS:
            return False  # a name in quotes, if the server's settings say so
        if not (name.text[:1].isalpha() or name.text[:1] == "_"):
            continue
        word = name.text.lower()
        if _is_known(before, name, statement.dialect):
            continue
        if spare[word] <= 0:
            return False
        spare[word] -= 1
    return True


def _is_known(before: Token | None, name: Token, dialect: Dialect) -> bool:
    qualified = before is not None and before.token_type is TokenType.DOT
    if qualified or name.token_type is TokenType.IDENTIFIER:
        return False  # somebody's own function, or a name that could be one
    # Some words are one token together, as GROUPING SETS.
    return name.text.upper().split()[-1] in BEFORE_PARENTHESES or name.text.lower() in READ_ONLY[dialect]
