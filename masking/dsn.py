"""Connection strings with a password or key in them: URLs of databases and brokers, JDBC, `Key=Value;`, libpq. Pure.

Precision, on purpose: an address without a password is no secret and stays; `https://` with one is a URL whose
password `password_assignment` hides; pairs count only with a password or key and a host among them.
"""

from collections.abc import Iterator
from typing import Final

from masking.patterns import Pattern, Span

SCHEMES: Final = (
    r"(?:postgres(?:ql)?|mysqlx?|mariadb|mongodb(?:\+srv)?|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|"
    r"cockroachdb|snowflake|redshift|cassandra|neo4j|bolt|couchdb|influxdb|memcached|libsql|db2|sybase|hive2?|presto|"
    r"trino|vertica|duckdb|elasticsearch|opensearch|kafka|nats|mqtts?|stomp|ldaps?|smtps?|imaps?|sftp|ftps?|smb|ssh|rtsp)"
)
_KEY: Final = r"(?:password|pwd|accountkey|sharedaccesskey|sharedaccesssignature|sharedsecret)"
_HOST: Final = Pattern(
    r"(?i)(?:^|[;\s(\[])((?:server|data source|host(?:name|addr)?|addr(?:ess)?|network address|endpoint|accountname|"
    r"blobendpoint|defaultendpointsprotocol|dsn|driver|dbname|database|initial catalog|port)\s?=)"
)
_HOLDS_KEY: Final = Pattern(rf"(?i)(?:^|[;\s(\[])({_KEY}\s?=[^;\s])")
_REST: Final = r"[^\s\"'<>`\\\x00-\x1f]"
_URL: Final = Pattern(
    "|".join(
        (
            rf"(?i)(?:jdbc:)?{SCHEMES}(?:\+[a-z0-9_]+)?://[^\s/@:\"'<>`\\]*:[^\s@\"'<>`\\]+@{_REST}+",
            rf"(?i)(?:jdbc:)?{SCHEMES}(?:\+[a-z0-9_]+)?:(?://)?{_REST}*[?&;:](?:password|pwd)={_REST}+",
            rf"(?i)jdbc:oracle:[a-z0-9]+:[^\s/@\"'<>`\\]+/[^\s@\"'<>`\\]+@{_REST}+",
        )
    )
)
_PAIR: Final = r"[a-z][a-z_ ]{1,30}=\s?"
_PAIRS: Final = Pattern(rf"(?i)(?:{_PAIR}[^;\"'<>\x00-\x1f]{{0,200}};\s?)+(?:{_PAIR}[^;\s\"'<>\x00-\x1f]*;?)?")
_SPACED: Final = r"[a-z_]{2,20}=(?:'[^'\x00-\x1f]*'|[^\s;&'\"<>,()]+)"
_WORDED: Final = Pattern(rf"(?i){_SPACED}(?: {{1,4}}{_SPACED}){{2,}}")

HINT: Final = rf"(?i:{SCHEMES}(?:\+[a-z0-9_]+)?:|jdbc:oracle:|[;\s\"'a-z\\]{_KEY}\s?=|^{_KEY}\s?=)"
_TRAILING: Final = b".,;:!?)]}"
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def find_connection_strings(text: bytes) -> Iterator[Span]:
    """Yield connection strings from their scheme or first pair to their end, where a password or key is in them."""
    for start, end in _URL.spans(text):
        if start and text[start - 1] in _WORD:
            continue
        yield start, start + len(text[start:end].rstrip(_TRAILING))
    if not _HOLDS_KEY.span(text):
        return
    for pattern in (_PAIRS, _WORDED):
        for start, end in pattern.spans(text):
            whole = text[start:end].rstrip()
            key, host = _HOLDS_KEY.groups(whole), _HOST.groups(whole)
            if key and host:
                yield start + min(key[1][0], host[1][0]), start + len(whole)
