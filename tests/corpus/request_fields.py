"""Header fields that lie, come twice, or belong to somebody else; bodies that are encoded, said or not."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.corpus.request_case import (
    CALL,
    FIELDS,
    FORBIDDEN,
    LAST,
    MARK,
    MISMATCH,
    MODERN,
    NO_HTTP,
    NO_JSON,
    NO_MESSAGE,
    NO_PARAMS,
    STRANGER,
    UNSUPPORTED,
    Case,
    Told,
    family,
    head,
    post,
)

_ELSEWHERE = Told(421, reason="forbidden")
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_MIRRORS = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "echo"}
_MODERN_PARAMS = {**json.loads(CALL)["params"], "_meta": _META}
_MODERN_CALL = json.dumps({**json.loads(CALL), "params": _MODERN_PARAMS}).encode()


def content() -> Iterator[Case]:
    """Give content types that are not JSON in UTF-8, and bodies that are compressed."""
    types: Mapping[str, str | bytes | None] = {
        "none": None,
        "empty": "",
        "text": "text/plain",
        "a form": "application/x-www-form-urlencoded",
        "a multipart": "multipart/form-data; boundary=x",
        "XML": "application/xml",
        "JSON-RPC": "application/json-rpc",
        "a suffix": "application/vnd.api+json",
        "JSON lines": "application/jsonl",
        "a stream": "text/event-stream",
        "another text": "text/json",
        "a typo": "application/jsonx",
        "in UTF-16": "application/json; charset=utf-16",
        "in Latin-1": "application/json; charset=iso-8859-1",
        "in UTF-7": "application/json;charset=utf-7",
        "in two character sets": "application/json; charset=utf-8; charset=utf-16",
        "a list": "application/json, text/plain",
        "two in one": "text/plain; application/json",
        "with a space inside": "application / json",
        "anything": "*/*",
    }
    yield from family("content type", NO_MESSAGE, {n: post(CALL, {"content-type": v}) for n, v in types.items()})
    twice = {
        "twice the same": b"content-type: application/json\r\n",
        "twice, another first": b"Content-Type: text/plain\r\n",
        "twice in other case": b"CONTENT-TYPE: application/json\r\n",
    }
    yield from family("content type", MISMATCH, {name: post(CALL, more=more) for name, more in twice.items()})
    yield Case("content type: not ASCII", post(CALL, {"content-type": "application/json; x=é".encode()}), MISMATCH)
    raw = zlib.compressobj(wbits=-15)
    bodies = {
        "gzip": gzip.compress(CALL, mtime=0),
        "deflate": zlib.compress(CALL),
        "raw deflate": raw.compress(CALL) + raw.flush(),
        "bzip2": bz2.compress(CALL),
        "xz": lzma.compress(CALL),
        "gzip twice": gzip.compress(gzip.compress(CALL, mtime=0), mtime=0),
        "a bomb": gzip.compress(b"0" * 10_000_000, mtime=0),
        "a bomb in a bomb": gzip.compress(gzip.compress(b"0" * 10_000_000), mtime=0),
        "zstd": b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
        "brotli": b"\x0b\x02\x80hello\x03",
    }
    for name, body in bodies.items():
        yield Case(f"compressed: {name}, and says so", post(body, {"content-encoding": name.split()[0]}), NO_MESSAGE)
        yield Case(f"compressed: {name}, and does not say so", post(body), NO_JSON)
    # An encoding that is told of a body that has none: two readers could read two bodies.
    told = {
        f"plain, told as {name}": post(CALL, {"content-encoding": name})
        for name in ("gzip", "br", "deflate", "zstd", "x", "aes128gcm")
    }
    told["plain, told as two"] = post(CALL, {"content-encoding": "identity, gzip"})
    yield from family("compressed", NO_MESSAGE, told)


def versions() -> Iterator[Case]:
    """Give revisions that there are not, and what a revision does not have."""
    for version in (
        "2024-01-01",
        "2026-07-29",
        "9999-99-99",
        "1.0",
        "latest",
        "DRAFT-2026-v1",
        "2025-11-25,2025-11-25",
        "2025-11-25 x",
        "2025‑11‑25",
        "*",
        "null",
        "x" * 5000,
        "2025-11-25;q=1",
        "%32025-11-25",
    ):
        value = version.encode()
        told = UNSUPPORTED if version.isascii() else MISMATCH
        yield Case(f"revision: {version[:22]!a}", post(CALL, {"mcp-protocol-version": value}), told)
    for name in ("mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id", "mcp-param-x"):
        for how, second in (("the same", "x"), ("another", "y"), ("an empty one", "")):
            fields = {**_MIRRORS, name: "x"}
            more = f"{name.title()}: {second}\r\n".encode()
            yield Case(f"twice: the field {name}, {how}", post(CALL, fields, more), MISMATCH)
        yield Case(f"not ASCII: the field {name}", post(CALL, {name: b"caf\xc3\xa9"}), MISMATCH)


def mirrors() -> Iterator[Case]:
    """Give modern calls whose header fields say something else than their body."""

    def modern(body: bytes = _MODERN_CALL, **fields: str | bytes | None) -> bytes:
        return post(body, {**_MIRRORS, **{name.replace("_", "-"): value for name, value in fields.items()}})

    wrong: dict[str, bytes] = {
        "no method": modern(mcp_method=None),
        "another method": modern(mcp_method="tools/list"),
        "a method in capitals": modern(mcp_method="TOOLS/CALL"),
        "a method with a slash more": modern(mcp_method="tools/call/"),
        "an empty method": modern(mcp_method=""),
        "an encoded method": modern(mcp_method="=?base64?dG9vbHMvY2FsbA==?="),
        "no name": modern(mcp_name=None),
        "another name": modern(mcp_name="query"),
        "an empty name": modern(mcp_name=""),
        "a name in capitals": modern(mcp_name="ECHO"),
        "a name and more": modern(mcp_name="echo, query"),
        "a name in percents": modern(mcp_name="%65cho"),
        "no revision": modern(mcp_protocol_version=None),
        "an older revision": modern(mcp_protocol_version=LAST),
        "an unknown revision": modern(mcp_protocol_version="2027-01-01"),
    }
    for text in (b"query", b"echo\0", b"echo ", "ëcho".encode()):
        wrong[f"another name {text!r} in base64"] = modern(mcp_name=b"=?base64?" + base64.b64encode(text) + b"?=")
    for value in (
        "=?base64?ZWNobw?=",
        "=?base64?ZWNobx==?=",
        "=?base64? ZWNobw==?=",
        "=?BASE64?ZWNobw==?=",
        "=?base64?ZWNobw==",
        "=?utf-8?B?ZWNobw==?=",
        "=?base64?!!!!?=",
        "=?base64??=",
        "=?base64?/w==?=",
        "=?base64?ZWNobw==?= ",
        "=?base64?ZWNo\tbw==?=",
    ):
        if not value.endswith(" "):
            wrong[f"a name that does not decode: {value!r}"] = modern(mcp_name=value)
    yield from family("mirror", MISMATCH, wrong)
    for missing in _META:
        meta = {key: value for key, value in _META.items() if key != missing}
        body = json.dumps({**json.loads(CALL), "params": {**_MODERN_PARAMS, "_meta": meta}}).encode()
        yield Case(f"mirror: no {missing.rpartition('/')[2]} in _meta", modern(body), NO_PARAMS)
    for name, revision in (
        ("null", None),
        ("a number", 20260728),
        ("a list", [MODERN]),
        ("another", "2027-01-01"),
        ("older", LAST),
    ):
        meta = {**_META, "io.modelcontextprotocol/protocolVersion": revision}
        body = json.dumps({**json.loads(CALL), "params": {**_MODERN_PARAMS, "_meta": meta}}).encode()
        yield Case(f"mirror: the revision in _meta is {name}", modern(body), MISMATCH)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"x": MARK}}).encode()
    yield Case("mirror: a response", post(body, {"mcp-protocol-version": MODERN}), NO_MESSAGE)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"_meta": {}, "x": MARK}}).encode()
    yield Case("mirror: initialize on the newer revision", post(body, {"mcp-protocol-version": MODERN}), MISMATCH)


def strangers() -> Iterator[Case]:
    """Give requests of nobody, or of somebody else."""
    for name, value in (
        ("none", None),
        ("empty", ""),
        ("no scheme", "@TOKEN@"),
        ("Basic", "Basic ZGF2ZTpkYXZl"),
        ("no token", "Bearer"),
        ("a space", "Bearer "),
        ("half a token", "Bearer eyJhbGciOiJSUzI1NiJ9"),
        ("no algorithm", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJkYXZlIn0."),
        ("two dots", "Bearer .."),
        ("a token and a word", "Bearer @TOKEN@ x"),
        ("two tokens", "Bearer @TOKEN@,@TOKEN@"),
        ("a letter more", "Bearer @TOKEN@x"),
        ("not ASCII", "Bearer tökén"),
        ("a long one", "Bearer " + "a" * 20_000),
        ("dots", "Bearer " + "." * 5000),
    ):
        yield Case(
            f"stranger: Authorization is {name}", post(CALL, {"authorization": value and value.encode()}), STRANGER
        )
    yield Case("stranger: Authorization twice", post(CALL, more=b"Authorization: Bearer x\r\n"), STRANGER)
    bare = {"authorization": None}
    yield Case("stranger: a token in the query", _at("/mcp/orders-db?access_token=@TOKEN@", bare), STRANGER)
    yield Case("stranger: a token in a cookie", post(CALL, {**bare, "cookie": "authorization=@TOKEN@"}), STRANGER)
    yield Case(
        "stranger: a token for the proxy", post(CALL, {**bare, "proxy-authorization": "Bearer @TOKEN@"}), STRANGER
    )


def places() -> Iterator[Case]:
    """Give requests for another host, from another page, to another connection."""
    for host in (
        "evil.example.com",
        "localhost.evil.example.com",
        "@HOST@.evil.example.com",
        "evil.example.com@@HOST@",
        "x" * 400,
        "169.254.169.254",
        "[::1",
        "@HOST@, x",
        "127.0.0.1:99999",
    ):
        yield Case(f"host: {host[:30]}", post(CALL, {"host": host}), _ELSEWHERE)
    yield Case("host: none", post(CALL, {"host": None}), _ELSEWHERE)
    yield Case("host: empty", post(CALL, {"host": ""}), _ELSEWHERE)
    yield Case("host: twice", post(CALL, more=b"Host: @HOST@\r\n"), _ELSEWHERE)
    for origin in (
        "https://evil.example.com",
        "null",
        "http://@HOST@.evil.example.com",
        "file://",
        "@HOST@",
        "http://@HOST@@evil.example.com",
        "chrome-extension://abc",
        "x" * 400,
    ):
        yield Case(f"origin: {origin[:30]}", post(CALL, {"origin": origin}), FORBIDDEN)
    yield Case("origin: twice", post(CALL, {"origin": "http://@HOST@"}, b"Origin: http://@HOST@\r\n"), FORBIDDEN)
    for name in (
        "no-such-connection",
        "ORDERS-DB",
        "orders-db%20",
        "orders-db;x=1",
        "orders_db",
        ".",
        "%2e%2e",
        "orders-db%0d%0ax",
        "x" * 300,
        "%F0%9F%98%80",
    ):
        yield Case(f"connection: {name[:20]}", _at(f"/mcp/{name}", {}), FORBIDDEN)
    for field in ("idempotency-key", "holdgate-reason", "holdgate-run", "holdgate-approval"):
        yield Case(f"wish: {field} twice", post(CALL, {field: "a"}, f"{field}: b\r\n".encode()), NO_MESSAGE)
        yield Case(f"wish: {field} too long", post(CALL, {field: "x" * 2001}), NO_MESSAGE)


def _at(path: str, fields: Mapping[str, str | None]) -> bytes:
    """Return the call at another path."""
    told = {**FIELDS, "content-length": str(len(CALL)), **fields}
    return head(f"POST {path} HTTP/1.1", told) + CALL


def verbs() -> Iterator[Case]:
    """Give methods of HTTP that the address does not have."""
    for version, allowed in ((LAST, ("GET", "DELETE")), (MODERN, ())):
        for verb in (
            "PUT",
            "PATCH",
            "OPTIONS",
            "TRACE",
            "PROPFIND",
            "LOCK",
            "MKCOL",
            "PURGE",
            "SEARCH",
            "REPORT",
            "GET",
            "DELETE",
        ):
            if verb in allowed:
                continue
            fields = {**FIELDS, "mcp-protocol-version": version, "content-length": str(len(CALL))}
            data = head(f"{verb} /mcp/orders-db HTTP/1.1", fields) + CALL
            yield Case(f"verb: {verb} on {version}", data, Told(405, -32600))
    fields = {**FIELDS, "x-note": MARK}
    yield Case("verb: GET without a session", head("GET /mcp/orders-db HTTP/1.1", fields), Told(405, -32600))
    yield Case("verb: DELETE without a session", head("DELETE /mcp/orders-db HTTP/1.1", fields), Told(400, -32600))
    for verb in ("GET", "DELETE"):
        yield Case(
            f"verb: {verb} of a dead session",
            head(f"{verb} /mcp/orders-db HTTP/1.1", {**fields, "mcp-session-id": "x"}),
            Told(404, -32600),
        )
        more = b"mcp-session-id: y\r\n"
        yield Case(
            f"verb: {verb} of two sessions",
            head(f"{verb} /mcp/orders-db HTTP/1.1", {**fields, "mcp-session-id": "x"}, more),
            MISMATCH,
        )
        yield Case(
            f"verb: {verb} on no revision",
            head(f"{verb} /mcp/orders-db HTTP/1.1", {**fields, "mcp-protocol-version": "x"}),
            UNSUPPORTED,
        )


def upgrades() -> Iterator[Case]:
    """Give calls that want to become something else."""
    key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13", "connection": "upgrade"}
    for name in ("websocket", "h2c", "TLS/1.0", "x", "websocket, h2c"):
        yield Case(f"upgrade: {name}", post(CALL, {**key, "upgrade": name}), NO_HTTP)
    sockets = {**FIELDS, **key, "upgrade": "websocket"}
    for path in ("/mcp/orders-db", "/ws/inbox/", "/ws/other"):
        first = f"GET {path} HTTP/1.1"
        yield Case(f"upgrade: GET {path}, a long field", head(first, {**sockets, "x-note": "x" * 9000}), NO_HTTP)
        yield Case(
            f"upgrade: GET {path}, many fields",
            head(first, sockets, b"".join(b"x-%d: y\r\n" % n for n in range(200))),
            NO_HTTP,
        )
        yield Case(f"upgrade: GET {path}, no key", head(first, {**sockets, "sec-websocket-key": None}), NO_HTTP)
        yield Case(
            f"upgrade: GET {path}, another version", head(first, {**sockets, "sec-websocket-version": "99"}), NO_HTTP
        )
        yield Case(f"upgrade: GET {path}, nobody's", head(first, sockets), Told(403, by_server=True))


def cases() -> Iterator[Case]:
    """Give all of them."""
    yield from content()
    yield from upgrades()
    yield from versions()
    yield from mirrors()
    yield from strangers()
    yield from places()
    yield from verbs()
