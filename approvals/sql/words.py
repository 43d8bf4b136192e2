"""The words by which a statement is more than a read, and those that may stand before a parenthesis. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from approvals.sql.lexing import Dialect

Kind = Literal["read", "write", "bulk_write", "ddl", "dcl", "admin", "unparsable"]
KINDS: Final[tuple[Kind, ...]] = ("read", "write", "bulk_write", "ddl", "dcl", "admin", "unparsable")


def _each(kinds: tuple[Kind, ...], words: str) -> dict[str, frozenset[Kind]]:
    return dict.fromkeys(words.upper().split(), frozenset(kinds))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a statement is by its first word. Not here: what begins a read, and what is opaque (CALL, EXECUTE, DO, PREPARE).
BY_FIRST_WORD: Final[dict[str, frozenset[Kind]]] = {
    **_each(("write",), "insert update delete merge replace upsert copy import refresh"),
    **_each(("ddl",), "create alter drop rename comment reindex"),
    **_each(("ddl", "bulk_write"), "truncate"),
    **_each(("dcl",), "grant revoke deny reassign"),
    **_each(("admin", "write"), "load bulk"),
    **_each(
        ("admin",),
        "set reset use pragma attach detach vacuum analyze analyse kill shutdown backup restore dbcc checkpoint "
        "reconfigure lock unlock flush install uninstall cluster optimize repair purge change start stop begin commit "
        "rollback end abort savepoint release discard listen unlisten notify security dump setuser revert binlog clone "
        "restart cache",
    ),
}
# Where a user, a role or a login is made or changed, it is about rights as well.
ABOUT_RIGHTS: Final = _words("USER ROLE LOGIN PASSWORD PRIVILEGES POLICY OWNER AUTHORIZATION")

# In a read these words never stand outside quotes. In Transact-SQL a statement ends where the next one begins, without
# a semicolon, so that a word which begins one would else pass for an alias.
_NEVER: Final = _words("""
    INSERT UPDATE DELETE MERGE TRUNCATE DROP ALTER CREATE GRANT REVOKE INTO LOCK EXEC EXECUTE CALL COPY ATTACH DETACH
    VACUUM SHUTDOWN PREPARE DEALLOCATE HANDLER OUTFILE DUMPFILE
""")
_NEVER_IN: Final[dict[Dialect, frozenset[str]]] = {
    "postgres": frozenset(),
    "mysql": _words("PROCEDURE"),
    "sqlite": _words("PRAGMA REINDEX"),
    "tsql": _words("""
        ADD BACKUP BEGIN BREAK BULK CHECKPOINT CLOSE COMMIT CONTINUE DBCC DECLARE DENY DISABLE DUMP ENABLE GET GOTO IF
        KILL LINENO LOAD MOVE OPEN PRINT RAISERROR READTEXT RECEIVE RECONFIGURE RENAME RESTORE RETURN REVERT ROLLBACK
        SAVE SEND SET SETUSER THROW UPDATETEXT USE WAITFOR WHILE WRITETEXT OPENQUERY OPENROWSET OPENDATASOURCE UPDLOCK
        XLOCK TABLOCKX TABLOCK HOLDLOCK SERIALIZABLE REPEATABLEREAD PAGLOCK ROWLOCK
    """),
}


def never_in_a_read(dialect: Dialect) -> frozenset[str]:
    """Return the words, in capitals, that no read of this dialect holds outside quotes."""
    return _NEVER | _NEVER_IN[dialect]


# What may stand before a parenthesis without being a function.
BEFORE_PARENTHESES: Final = _words("""
    IN VALUES OVER EXISTS ANY ALL SOME AND OR NOT SELECT FROM JOIN ON WHERE AS USING FILTER GROUP BY HAVING LIMIT TOP
    OFFSET BETWEEN LIKE ILIKE IS WHEN THEN ELSE CASE DISTINCT UNION EXCEPT INTERSECT LATERAL ROWS RANGE PARTITION WITH
    MATERIALIZED SETS CUBE ROLLUP GROUPING APPLY INTERVAL ARRAY ROW OPTION FORCE IGNORE INDEX KEY ESCAPE TABLESAMPLE
    BERNOULLI SYSTEM ORDER SIMILAR TO REGEXP RLIKE DIV MOD XOR END COLUMNS KEEP WINDOW
    CHAR VARCHAR NCHAR NVARCHAR CHARACTER VARYING TEXT NUMERIC DECIMAL DEC FLOAT DOUBLE REAL INT INTEGER BIGINT
    SMALLINT TINYINT BIT BINARY VARBINARY TIME TIMESTAMP TIMESTAMPTZ DATETIME DATETIME2 DATETIMEOFFSET SIGNED UNSIGNED
    DATE PRECISION ZONE
""")
