"""What SQL does: nothing hostile passes for a read, and what is honest mostly does."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.sql.kinds import kinds_of
from approvals.sql.lexing import DIALECTS, Dialect

CORPUS = Path(__file__).parent.parent / "sql"
_ESCAPE = re.compile(r"\\(n|r|t|\\|u[0-9a-f]{4})")
_WRITTEN = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def corpus(name: str) -> Iterator[tuple[Dialect, str]]:
    """Yield dialect and statement of each line of a file of tests/sql."""
    for line in (CORPUS / name).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        dialect, _, written = line.partition(" ")
        text = _ESCAPE.sub(lambda found: _WRITTEN.get(found[1]) or chr(int(found[1][1:], 16)), written)
        yield from ((one, text) for one in DIALECTS if dialect in ("all", one))


HOSTILE = list(corpus("hostile.txt"))
HONEST = list(corpus("honest.txt"))


@pytest.mark.promise("fail-closed")
def test_nothing_hostile_passes_for_a_read(capsys: pytest.CaptureFixture[str]) -> None:
    missed = [(dialect, text) for dialect, text in HOSTILE if "read" in kinds_of(text, dialect)]

    assert missed == []
    assert len(HOSTILE) + len(HONEST) >= 300


def test_few_honest_reads_are_taken_for_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    doubted = [(dialect, text) for dialect, text in HONEST if kinds_of(text, dialect) != {"read"}]

    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(HOSTILE)} hostile statements, 0 taken for reads; {len(doubted)} of {len(HONEST)} reads doubted\n"
        )
    assert len(doubted) <= len(HONEST) // 100


@pytest.mark.parametrize(
    ("dialect", "text", "kinds"),
    [
        ("postgres", "DROP TABLE x", {"ddl"}),
        ("postgres", "TRUNCATE x", {"ddl", "bulk_write"}),
        ("postgres", "DELETE FROM x WHERE id = 3", {"write"}),
        ("postgres", "DELETE FROM x", {"write", "bulk_write"}),
        ("postgres", "UPDATE x SET a = 1 WHERE true", {"write", "bulk_write"}),
        ("postgres", "UPDATE x SET a = 1 WHERE id = 1 OR 1 = 1", {"write", "bulk_write"}),
        ("postgres", "UPDATE x SET a = 1 WHERE id = 1 AND 1 = 1", {"write"}),
        ("postgres", "UPDATE x SET a = evil() WHERE id = 1", {"write", "unparsable"}),
        ("postgres", "INSERT INTO x (a, b) VALUES (1, now())", {"write"}),
        ("postgres", "WITH d AS (DELETE FROM x RETURNING *) SELECT * FROM d", {"write", "bulk_write"}),
        ("postgres", "SELECT * INTO y FROM x", {"write", "ddl"}),
        ("postgres", "GRANT SELECT ON x TO bob", {"dcl"}),
        ("postgres", "ALTER USER bob SUPERUSER", {"ddl", "dcl"}),
        ("postgres", "SET ROLE postgres", {"admin", "dcl"}),
        ("postgres", "COPY x FROM PROGRAM 'curl'", {"write", "admin"}),
        ("postgres", "SELECT 1; DROP TABLE x", {"ddl"}),
        ("postgres", "SELECT 1; SELECT 2", {"unparsable"}),
        ("postgres", "DO $$ BEGIN DROP TABLE x; END $$", {"unparsable", "ddl"}),
        ("postgres", "EXPLAIN ANALYZE DELETE FROM x", {"write", "bulk_write"}),
        ("postgres", "EXPLAIN ANALYZE SELECT 1", {"unparsable"}),
        ("mysql", "/*!50000 DROP TABLE x */", {"unparsable", "ddl"}),
        ("tsql", "SELECT 1 SHUTDOWN", {"admin"}),
        ("sqlite", "PRAGMA writable_schema = 1", {"admin"}),
    ],
)
def test_what_is_no_read_is_named_by_what_it_does(dialect: Dialect, text: str, kinds: set[str]) -> None:
    assert kinds_of(text, dialect) == kinds


def test_without_a_dialect_nothing_can_be_proved() -> None:
    assert kinds_of("SELECT 1", None) == {"unparsable"}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 101 + "1" + ")" * 101,
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT '" + "a" * 17_000 + "'",
        "SELECT " + " + ".join(["1"] * 3000),
        "SELECT " + "CASE WHEN 1 THEN " * 600 + "1" + " END" * 600,
        "SELECT " + "NOT " * 3000 + "1",
        "SELECT " + "a." * 3000 + "b",
        "SELECT '",
        'SELECT "',
        "SELECT /*",
        "SELECT $a$",
    ],
)
def test_what_is_too_deep_too_long_or_without_an_end_is_refused_soon(text: str) -> None:
    for dialect in DIALECTS:
        assert isinstance(kinds_of(text, dialect), frozenset)


def test_what_is_too_large_is_not_examined() -> None:
    assert kinds_of("SELECT '" + "a" * 17_000 + "'", "postgres") == {"unparsable"}
    assert kinds_of("SELECT " + "(" * 101 + "1" + ")" * 101, "postgres") == {"unparsable"}


def test_nothing_of_a_statement_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    kinds_of("REPLACE INTO customers VALUES ('canary')", "sqlite")
    kinds_of("SHOW canary", "tsql")

    assert "canary" not in caplog.text + "".join(capfd.readouterr())


_PIECES = r"""
SELECT FROM WHERE 1 a 'x' "y" ( ) , ; * = -- /* */ # $$ $a$ ' " ` [ ] \ DROP TABLE DELETE INTO FOR UPDATE WITH AS UNION
EXEC evil( lower( INSERT SET {# #} EXPLAIN ANALYZE
"""
_WORDS = st.sampled_from(["\n", "\r", *_PIECES.split()])


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=25).map(" ".join), st.sampled_from(DIALECTS))
def test_a_text_with_a_word_that_changes_something_outside_quotes_is_no_read(text: str, dialect: Dialect) -> None:
    """A crude reader of its own: without quotes and comments there is nothing to hide in, so it can tell."""
    kinds = kinds_of(text, dialect)

    assert kinds
    quiet = not set("'\"`[]$#{}\\") & set(text) and "--" not in text and "/*" not in text
    words = set(text.replace("(", " ").split())
    if quiet and words & {"DROP", "DELETE", "INTO", "UPDATE", "EXEC", "evil", "INSERT"}:
        assert "read" not in kinds or "EXPLAIN" in words


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.sampled_from(DIALECTS))
def test_any_text_has_kinds(text: str, dialect: Dialect) -> None:
    assert kinds_of(text, dialect)
