"""Documents full of what masking looks for, the same in every run: every detector, frame, escape and nesting.

What a random generator gives differs between versions of Python, except `random()` itself; so only that is used.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, TypeVar

Item = TypeVar("Item")

LITERAL = 's3cr3t/"x"+é-key'
# Shapes are put together here so that no scanner takes this file for a leak.
_FRAME = "-----{} PRIVATE KEY-----"
_VALUES = (
    *("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "3782 822463 10005", "30569309025904"),
    *("4111.1111.1111.1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111111111111112", "0.4111111111111111"),
    *("12345678-4111-4111-8111-111111111111", "da39a3ee5e4111111111111111aafd80709abcde", "192.168.100.200"),
    *("12 4111-1111-1111-1111 77", "1700000000000000000", "4111111111111111.5", "4111111111111111.0"),
    *("DE89 3704 0044 0532 0130 00", "gb82west12345698765432", "NO93-8601-1117-947", "BE12 DE89370400440532013000"),
    *("DE89370400440532013001", "123-45-6789", "666-45-6789 123-45-6789", "123-45 6789", "7-123-45-6789"),
    *("alice@example.com", "a.b+c@mail.example.co.uk", "jürgen@müller.example", "o'brien@example.ie", "user@localhost"),
    *('"john doe"@example.com', "x@xn--bcher-kva.xn--p1ai", "git@github.com:a/b.git", "a@b.com.x@d.org", "@types/node"),
    *("+49 30 1234567", "+14155552671", "+1 (415) 555-2671", "415-555-2671", "01 23 45 67 89", "0171/1234567"),
    *("0049 30 1234567", "2024-01-02 10:11:12", "+1 23", "020 7946 0958 12 34"),
    *("Bearer abcdef0123456789", "authorization: bearer AbCdEfGhIj", "bearer authentication"),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    *("password=hunter2", "DB_PASSWORD: hunter2", "pwd = 'two words'", '{"passwd": "x"', "secretary: Bob", 'pwd="open'),
    *("postgres://app:hunter2@db/orders", "https://u:p%40ss@h.example.com", "if password == other", "password: null"),
    f"{_FRAME.format('BEGIN')}\nMIIBVgIBADANBgkq\nhkiG9w0B\n{_FRAME.format('END')}",
    f"{_FRAME.format('BEGIN RSA')}\nMIIBVgIBADANBgkq",
    *("AKIA" + "IOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"),
    "xAKIA" + "IOSFODNN7EXAMPLE",
    *("api_key=0123456789abcdef", '"accessToken": "0123456789abcdef"', "api_key: none", "auth-token := x1x2x3x4x5x6x7"),
    *("redis://:hunter2@cache:6379/0", "Server=db;Database=x;Password=p1; Encrypt=true", "postgres://db/orders"),
    *("session_token: 9f8a7b6c5d4e3f2a1b0c", '"signing_key": "aB3dE5fG7hJ9kL1mN3pQ5r"', "token: my-service-2024"),
    *("203.0.113.7:8080", "2001:db8::1", "v1.2.3.4", "DOB: 12/03/1985", "geboren am 3. März 1985", "made 1985-03-12"),
    *("12345678Z", "BSN: 111222333", "111222333", "390.533.447-05", "811228-9874"),
    *("ssn: 12-34", "salary=50 000", '{"salary": "5 000"}', "geburtsort : Köln", "[email]", "[email:ab12cd34]"),
    *(LITERAL, json.dumps(LITERAL), base64.b64encode(f"user:{LITERAL}".encode()).decode()),
    *("４１１１ １１１１ １１１１ １１１１", "٤١١١١١١١١١١١١١١١", "4111\u200b1111\u00ad11111111", "4111–1111–1111–1111"),
    *("alice＠example.com", "ali\u00adce@example.com", "１２３-45-6789", "\u200bpassword\u200b=\u00a0x"),
)
_WORDS = (
    *("order", "parcel", "20931", "packed", "on", "Tuesday", "no", "remarks;", "café", "über", "東京", "x=1", "(see)"),
    *("—", "a.b", ",", "\\", "/", "“q”", "🙂", "0", "7,5", "%", "\x01"),
)
_FRAMES = (
    *(
        "{}",
        "see {} please",
        "a\n{}\nb",
        "({})",
        "x, {}; y",
        "{},{}",
        "'{}'",
        "é{}",
        "…{} 。{}",
        "\t{}\u00a0{}",
        "{}{}",
    ),
    "{}\n\x01\n{}",
)
_KEYS = (
    *("id", "name", "value", "note", "ssn", "Salary", "password", "api_key", "accessToken", "columns", "rows", "data"),
    *("text", "blob", "mimeType", "type", "mail", "Geburtsort", "ｓｓｎ", "a b", "x", "key", "secret2", "content"),
)
_NUMBERS = (
    *("0", "7", "-1", "1.50", "1e5", "-0", "0.10", "4111111111111111", "-4111111111111111", "4111111111111111.0"),
    "12345678901234567890123",
)
_HEADS = ("id", "name", "SSN", "password", "mail", "salary", "note", '"ss""n"', "`ssn`", " access_token ", "Geburtsort")
_PLACES = (
    *('{"content":[{"type":"text","text":@}],"isError":false}', '{"structuredContent":@,"content":[]}'),
    '{"contents":[{"uri":"x:y","mimeType":"application/json","text":@}]}',
    '{"tools":[{"name":"t","description":@}]}',
    *('{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{"ssn":{"default":@}}}}]}', '{"_meta":@}'),
    '{"messages":[{"role":"user","content":{"type":"text","text":@}}]}',
    '{"requestState":@,"resultType":"complete"}',
)


class Corpus:
    """An endless, repeatable source of documents; the same seed gives the same documents."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311  # nothing secret

    def documents(self, count: int) -> Iterator[bytes]:
        """Yield so many JSON documents, a few of them broken."""
        for _ in range(count):
            yield self._document()

    def text(self) -> str:
        """Return one text: words with values in frames, a table, lines of JSON, or JSON."""
        way = self._below(12)
        if way == 0:
            return self._table()
        if way == 1:
            return "\n".join(self._json(2) for _ in range(1 + self._below(4)))
        if way <= 3:
            return self._one(("", "", " ", "\n")) + self._json(2, indent=self._one((None, None, 2)))
        return self._one((" ", " ", "\n", "", "\r\n", "\t")).join(self._piece() for _ in range(self._below(9)))

    def value(self, depth: int = 3) -> Any:
        """Return one JSON value in which numbers with an odd spelling are texts of the form `#1e5#`."""
        way = self._below(10 if depth else 6)
        if way < 4:
            return self.text()
        if way == 4:
            return f"#{self._one(_NUMBERS)}#"
        if way == 5:
            return self._one((True, False, None, "", "x"))
        if way == 6:
            return [self.value(depth - 1) for _ in range(self._below(5))]
        if way == 7:
            return self._special()
        return {self._key(): self.value(depth - 1) for _ in range(self._below(6))}

    def _document(self) -> bytes:
        text = self._json(3)
        way = self._below(8)
        if way <= 3:
            place = self._one(_PLACES).replace("@", text)
            text = f'{{"jsonrpc":"2.0","id":{self._one(_NUMBERS)},"result":{place}}}'
        elif way == 4:
            text = f'{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{text}}}}}'
        elif way == 5:
            text = f'{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":{self._json(0)},"data":{text}}}}}'
        if self._below(12) == 0:
            text = text.replace("a", "\\u0061").replace("@", "\\u0040").replace("/", "\\/")
        if self._below(60) == 0:
            text = text[: self._below(len(text) + 1)]
        return text.encode("utf-8", "surrogatepass")

    def _json(self, depth: int, indent: int | None = None) -> str:
        text = json.dumps(self.value(depth), ensure_ascii=self._below(3) == 0, indent=indent)
        for number in _NUMBERS:
            text = text.replace(f'"#{number}#"', number)
        if self._below(20) == 0:
            text = text.replace('"note":', '"id":')  # now it may stand twice
        return text

    def _special(self) -> Any:
        text = self.text()
        blob = base64.b64encode(text.encode()).decode()
        pair = {self._one(("name", "key", "field")): self._one(_HEADS), "value": self.value(0)}
        rows = [[self.value(0) for _ in range(3)] for _ in range(self._below(4))]
        columns = {self._one(("columns", "fields")): [self._one(_HEADS), {"name": self._one(_HEADS)}], "rows": rows}
        kind = self._one(("text/csv", "application/json", "image/png", "application/octet-stream", ""))
        typed = {"blob": blob, "mimeType": kind}
        return self._one((pair, columns, typed, {"blob": blob}, {text[:90]: 1, "[email]": 2}))

    def _table(self) -> str:
        delimiter = self._one((",", ";", "\t", "|", " | "))
        lines = [delimiter.join(self._one(_HEADS) for _ in range(3))]
        for _ in range(self._below(5)):
            cells = (self._one((self._one(_WORDS), self._one(_VALUES), '"a b"', '"4\n5"')) for _ in range(3))
            lines.append(delimiter.join(cells))
        return self._one(("", "words before\n")) + "\n".join(lines) + self._one(("", "\n\nnothing", "\r\n"))

    def _piece(self) -> str:
        if self._below(3):
            return self._one(_WORDS)
        return self._one(_FRAMES).replace("{}", self._one(_VALUES))

    def _key(self) -> str:
        return self._one(_KEYS) if self._below(9) else self._one(_VALUES)

    def _one(self, items: Sequence[Item]) -> Item:
        return items[self._below(len(items))]

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)
