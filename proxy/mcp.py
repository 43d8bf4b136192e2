"""MCP requests as they arrive: headers and body become a message, a batch or a rejection. Pure.

Every revision from 2025-03-26 to 2026-07-28 is read here. Up to 2025-11-25 a client shakes hands first (the
`legacy` era); since 2026-07-28 every request says in `params._meta` what it speaks (the `modern` era). The
body decides the era and what is asked for; header fields must agree with it. The ladder below is climbed from
the bottom, and the first rung that fails answers:

1. framing: content type, no encoding of the body, fields that came twice, fields that are not ASCII
2. strict JSON (`proxy.strictjson`)
3. an array only on 2025-03-26, and only of legacy messages
4. the JSON-RPC envelope: version, kind, id, method, and no look-alike of a known member
5. era and revision
6. mirrored header fields (`Mcp-Method`, `Mcp-Name`) equal the body
7. the parameters that a decision needs: names, arguments, `_meta`, progress token

Unknown methods and unknown members pass untouched: whether they may go on is the policy's question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from proxy import envelope, strictjson
from proxy.envelope import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Envelope,
    Id,
    Kind,
    Rejection,
    bad_params,
    invalid,
    is_id,
    look_alike,
)
from proxy.headers import Headers, RawHeaders, decode_mirrored

__all__ = [
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "Batch",
    "Control",
    "Message",
    "Rejection",
    "control",
    "parse",
]

MODERN = ("2026-07-28",)
LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ASSUMED = "2025-03-26"  # what a legacy request without a version field speaks (2025-06-18, transports)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"

HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

Era = Literal["legacy", "modern"]

NAME_MEMBER: Mapping[str, str] = MappingProxyType(
    {
        "tools/call": "name",
        "prompts/get": "name",
        "resources/read": "uri",
        "resources/subscribe": "uri",
        "resources/unsubscribe": "uri",
        "tasks/get": "taskId",
        "tasks/result": "taskId",
        "tasks/update": "taskId",
        "tasks/cancel": "taskId",
    }
)
# What the newer era has dropped is an unknown method there, whatever its parameters are.
DROPPED = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
    | {"tasks/result", "tasks/list"}
)
# What it has added is one in the older era.
ADDED = frozenset({"tasks/update"})
TAKE_ARGUMENTS = frozenset({"tools/call", "prompts/get"})
MIRRORED_NAME = frozenset({"tools/call", "prompts/get", "resources/read"})

_PARAMETERS = {
    name.lower(): name for name in ("name", "arguments", "uri", "ref", "argument", "context", "task", "taskId", "_meta")
} | {"requeststate": "requestState", "inputresponses": "inputResponses"}
_REFERENCE = {"type": "type", "name": "name", "uri": "uri"}
_ONCE = ("content-type", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "last-event-id")
_LONGEST_SESSION = 1024
_REVISION = re.compile(r"v?[0-9]{1,4}(?:[-.][0-9]{1,4}){0,3}")
# Each message of a batch is a call of its own: one small body must not begin thousands of them.
MOST_MESSAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One JSON-RPC message of a caller.

    `name` is what a rule speaks of: tool or prompt name, resource uri, task id, the completed reference.
    `arguments` is what argument paths start at: `params.arguments`, `{uri}`, or the parameters without
    `_meta`; of a response its `result` or `error`. `raw` is the caller's own bytes, forwarded as they are.
    """

    kind: Kind
    id: Id | None
    method: str
    params: Mapping[str, Any] = field(repr=False)
    name: str | None
    arguments: Any = field(repr=False)
    era: Era
    version: str
    progress_token: Id | None
    meta: Mapping[str, Any] = field(repr=False)
    session: str | None
    raw: bytes = field(repr=False)
    tool: str = ""  # that made the task of which it speaks


Batch = tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A legacy request without a body: GET opens the stream of a session, DELETE ends the session."""

    verb: Literal["GET", "DELETE"]
    version: str
    session: str | None
    last_event_id: str | None


def parse(body: bytes, headers: RawHeaders | Headers) -> Message | Batch | Rejection:
    """Climb the ladder for one POST; a batch gives each message with its own bytes. Nothing is raised."""
    fields = Headers.of(headers)
    if rejection := _check_framing(fields):
        return rejection
    try:
        value = strictjson.parse(body)
        if isinstance(value, list):
            return _batch(strictjson.elements(body), fields)
    except strictjson.BadJson as error:
        return Rejection(status=400, code=PARSE_ERROR, message=f"The body is refused: {error.reason}.")
    return _message(value, body, fields)


def control(verb: str, headers: RawHeaders) -> Control | Rejection:
    """Read a request that is not a POST. Since 2026-07-28 there is only POST, so GET and DELETE are 405
    there.
    """
    fields = Headers(headers)
    version = fields.first("mcp-protocol-version") or ASSUMED
    if verb not in {"GET", "DELETE"} or version in MODERN:
        allow = "POST" if version in MODERN else "GET, POST, DELETE"
        return Rejection(status=405, code=INVALID_REQUEST, message=f"{verb} is not allowed here.", allow=allow)
    if rejection := _check_repeated(fields) or _check_session(fields):
        return rejection
    if version not in LEGACY:
        return _unsupported(version, None)
    return Control(
        verb="GET" if verb == "GET" else "DELETE",
        version=version,
        session=fields.first("mcp-session-id"),
        last_event_id=fields.first("last-event-id"),
    )


# 1 ─ framing


def _check_framing(fields: Headers) -> Rejection | None:
    return _check_repeated(fields) or _check_content_type(fields) or _check_session(fields)


def _check_repeated(fields: Headers) -> Rejection | None:
    for name in fields.names():
        routing = name in _ONCE or name.startswith("mcp-param-")
        if routing and fields.is_repeated(name):
            return _mismatch(f"The header field {name} came more than once.")
        if routing and not (fields.first(name) or "").isascii():
            return _mismatch(f"The header field {name} is not ASCII.")
    return None


def _check_content_type(fields: Headers) -> Rejection | None:
    encodings = fields.every("content-encoding")
    if encodings and encodings != ["identity"]:
        return invalid("Content-Encoding is not supported; send the body as it is.")
    if fields.first("content-type") == "application/json":
        return None
    media_type, *parameters = (part.strip().lower() for part in (fields.first("content-type") or "").split(";"))
    charsets = [value.removeprefix("charset=").strip('"') for value in parameters if value.startswith("charset=")]
    if media_type == "application/json" and set(charsets) <= {"utf-8", "utf8", "us-ascii"}:
        return None
    return invalid("Content-Type must be application/json in UTF-8.")


def _check_session(fields: Headers) -> Rejection | None:
    session = fields.first("mcp-session-id")
    if session is None or (0 < len(session) <= _LONGEST_SESSION and session.isprintable() and " " not in session):
        return None
    return invalid("The session id is not one to 1024 visible ASCII characters.")


# 3 ─ batches


def _batch(elements: list[tuple[Any, bytes]], fields: Headers) -> Batch | Rejection:
    version = fields.first("mcp-protocol-version") or ASSUMED
    if version != ASSUMED:
        return invalid(f"A batch is allowed on {ASSUMED} only.")
    if not elements:
        return invalid("The batch is empty.")
    if len(elements) > MOST_MESSAGES:
        return invalid(f"The batch holds more than {MOST_MESSAGES} messages.")
    if fields.first("mcp-method") is not None or fields.first("mcp-name") is not None:
        return _mismatch("A batch cannot be mirrored in header fields.")
    messages: list[Message] = []
    ids: set[tuple[type, Id]] = set()
    for value, raw in elements:
        message = _message(value, raw, fields)
        if isinstance(message, Message):
            message = _check_element(message, ids)
        if isinstance(message, Rejection):
            return message
        messages.append(message)
    return tuple(messages)


def _check_element(message: Message, ids: set[tuple[type, Id]]) -> Message | Rejection:
    if message.era == "modern" or message.method == "initialize":
        return invalid("A batch holds no initialize and no message of 2026-07-28 or later.", message.id)
    if message.kind == "request" and message.id is not None:
        key = (type(message.id), message.id)
        if key in ids:
            return invalid("Two requests of the batch have the same id.", message.id)
        ids.add(key)
    return message


# 4 to 7 ─ one message


def _message(value: Any, raw: bytes, fields: Headers) -> Message | Rejection:
    read = envelope.read(value)
    if isinstance(read, Rejection):
        return read
    version = _version(read, fields)
    if isinstance(version, Rejection):
        return version
    modern = version in MODERN
    is_unknown = read.method in (DROPPED if modern else ADDED)
    member = None if is_unknown else NAME_MEMBER.get(read.method)
    if "\0" in read.method or "\0" in str(_name(read, member)):
        return invalid("A method or name holds the character U+0000.", read.id)  # which the record cannot hold
    if rejection := _check_mirrors(read, version, fields) or _check_parameters(read, member):
        return rejection
    return Message(
        kind=read.kind,
        id=read.id,
        method=read.method,
        params=read.params,
        name=_name(read, member),
        arguments=_arguments(read, member),
        era="modern" if modern else "legacy",
        version=version,
        progress_token=read.meta.get("progressToken"),
        meta=read.meta,
        session=None if modern else fields.first("mcp-session-id"),
        raw=raw,
    )


# 5 ─ era and revision


def _version(read: Envelope, fields: Headers) -> str | Rejection:
    in_header = fields.first("mcp-protocol-version")
    if VERSION_KEY in read.meta or (in_header in MODERN and read.method != "initialize"):
        return _modern_version(read, in_header)
    if read.method == "initialize":
        return _offered_version(read, in_header)
    if in_header is not None and in_header not in LEGACY:
        return _unsupported(in_header, read.id)
    return in_header or ASSUMED


def _modern_version(read: Envelope, in_header: str | None) -> str | Rejection:
    if VERSION_KEY in read.meta and in_header != read.meta[VERSION_KEY]:
        return _mismatch("MCP-Protocol-Version differs from the revision in params._meta.", read.id)
    if in_header is None or in_header not in MODERN:
        return _unsupported(str(in_header), read.id)
    if read.kind == "response":
        return invalid(f"Clients do not send responses on {in_header}.", read.id)
    missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in read.meta]
    if missing and read.kind == "request":
        return bad_params(f"params._meta lacks {' and '.join(missing)}.", read.id)
    return in_header


def _offered_version(read: Envelope, in_header: str | None) -> str | Rejection:
    """Return the revision that `initialize` asks for; a server answers an unknown one with its newest legacy
    one.
    """
    if in_header is not None and in_header not in LEGACY:
        return _mismatch("initialize belongs to revisions before 2026-07-28.", read.id)
    asked = read.params.get("protocolVersion")
    return asked if isinstance(asked, str) and asked in LEGACY else LEGACY[-1]


# 6 ─ mirrored header fields


def _check_mirrors(read: Envelope, version: str, fields: Headers) -> Rejection | None:
    required = version in MODERN and read.kind == "request"
    method = fields.first("mcp-method")
    if (method is not None or required) and method != read.method:
        return _mismatch("Mcp-Method differs from the method in the body.", read.id)
    member = NAME_MEMBER.get(read.method)
    name = fields.first("mcp-name")
    if member is None or (name is None and not (required and read.method in MIRRORED_NAME)):
        return None
    if name is None and read.params.get(member) is None:
        return None  # the parameter itself is missing, which the next rung says better
    if name is None or decode_mirrored(name) != read.params.get(member):
        return _mismatch(f"Mcp-Name differs from params.{member} in the body.", read.id)
    return None


# 7 ─ what a decision needs


def _check_parameters(read: Envelope, member: str | None) -> Rejection | None:
    token = read.meta.get("progressToken")
    if token is not None and not is_id(token):
        return bad_params("The progress token must be a string or an integer.", read.id)
    if member is None and read.method != "completion/complete":
        return None
    if (meant := look_alike(read.params, _PARAMETERS)) is not None:
        return bad_params(f"A parameter is spelled almost like {meant}.", read.id)
    name = _name(read, member)
    if not isinstance(name, str) or name == "":
        return bad_params(f"params.{member or 'ref'} is missing or not a string.", read.id)
    if not isinstance(read.params.get("arguments"), Mapping | None):
        return bad_params("params.arguments must be an object.", read.id)
    return None


def _name(read: Envelope, member: str | None) -> Any:
    if member is not None:
        return read.params.get(member)
    ref = read.params.get("ref") if read.method == "completion/complete" else None
    return _referred(ref) if isinstance(ref, Mapping) else None


def _referred(ref: Mapping[str, Any]) -> Any:
    """Return what a reference names: one thing, for a rule must not speak of another than the server acts on."""
    if look_alike(ref, _REFERENCE) is not None or ("name" in ref and "uri" in ref):
        return None
    member = {"ref/prompt": "name", "ref/resource": "uri"}.get(str(ref.get("type")))
    return ref.get(member) if member else None


def _arguments(read: Envelope, member: str | None) -> Any:
    if read.kind == "response":
        return read.outcome
    if read.method in TAKE_ARGUMENTS:
        return read.params.get("arguments") or {}
    if member == "uri":
        return {"uri": read.params["uri"]}
    return {name: value for name, value in read.params.items() if name != "_meta"}


def _mismatch(message: str, request_id: Id | None = None) -> Rejection:
    return Rejection(status=400, code=HEADER_MISMATCH, message=message, id=request_id)


def _unsupported(version: str, request_id: Id | None) -> Rejection:
    # Only what could be a revision is quoted: a header field can hold anything.
    requested = version if _REVISION.fullmatch(version) else ""
    data = {"supported": list(MODERN), "requested": requested}
    return Rejection(
        status=400,
        code=UNSUPPORTED_VERSION,
        message="Unsupported protocol version.",
        id=request_id,
        data=data,
    )
