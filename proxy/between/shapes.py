"""Messages of one era as the other one has them. Pure: JSON values in, JSON values out, nothing is changed in place.

"Older" are the revisions with a handshake, up to 2025-11-25; "newer" is 2026-07-28. What only one of them has is left
out, or said otherwise; everything else of a message stays what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from proxy import strictjson
from proxy.envelope import INVALID_PARAMS, METHOD_NOT_FOUND
from proxy.headers import encode_mirrored
from proxy.mcp import CAPABILITIES_KEY, LEGACY, MODERN, NAME_MEMBER, VERSION_KEY

CLIENT_KEY = "io.modelcontextprotocol/clientInfo"
LEVEL_KEY = "io.modelcontextprotocol/logLevel"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"
STATE, RESPONSES, ASKED = "requestState", "inputResponses", "inputRequests"
NEWEST = MODERN[-1]
US: Mapping[str, Any] = MappingProxyType({"name": "holdgate", "version": "1"})

_OF_REQUEST = frozenset({VERSION_KEY, CAPABILITIES_KEY, CLIENT_KEY, LEVEL_KEY})
# Whose results say how long they may be kept (2026-07-28, "Caching").
_CACHED = frozenset(
    {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"}
)
_NOT_FOUND, _URL_NEEDED, _INTERNAL = -32002, -32042, -32603
_BAD_REQUESTS = frozenset({-32700, -32600, INVALID_PARAMS, -32020, -32021, -32022})


def server_of(result: Mapping[str, Any]) -> Any:
    """Return what a server of the newer era says of itself with its result."""
    meta = result.get("_meta")
    return meta.get(SERVER_KEY) if isinstance(meta, Mapping) else None


# For servers of the older era, and back to callers of the newer one


def to_older(message: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a request as a server of the older era gets it: under our number, which is its progress token as well."""
    params = {name: value for name, value in _params(message).items() if name not in {STATE, RESPONSES, "_meta"}}
    meta = {name: value for name, value in _meta(_params(message)).items() if name not in _OF_REQUEST}
    if "progressToken" in meta:
        meta["progressToken"] = number
    if meta:
        params["_meta"] = meta
    return {**message, "id": number, "params": params}


def discovered(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of `server/discover` that says what a server said at its handshake."""
    capabilities = {name: value for name, value in _object(said.get("capabilities")).items() if name != "tasks"}
    found = {"supportedVersions": [*MODERN], "capabilities": capabilities}
    if "instructions" in said:
        found["instructions"] = said["instructions"]
    if "serverInfo" in said:
        found["_meta"] = {SERVER_KEY: said["serverInfo"]}
    return newer_result("server/discover", found)


def newer_result(method: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of the older era as a caller of the newer one gets it."""
    made = {"resultType": "complete", **result}
    return {**made, "ttlMs": 0, "cacheScope": "private"} if method in _CACHED else made


def newer_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error of the older era as a caller of the newer one gets it: two codes are not of that era."""
    if error.get("code") == _NOT_FOUND:
        return {**error, "code": INVALID_PARAMS}
    if error.get("code") == _URL_NEEDED:
        message = "The server wants its caller to open a page first, which cannot be said in this revision."
        return {"code": _INTERNAL, "message": message}
    return dict(error)


def newer_status(message: Mapping[str, Any]) -> int:
    """Return the HTTP status that goes with an answer of the newer era."""
    code = _object(message.get("error")).get("code")
    if code == METHOD_NOT_FOUND:
        return 404
    return 400 if code in _BAD_REQUESTS else 200


def question(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request of a server of the older era as a question in a round of the newer one."""
    params = {name: value for name, value in _params(asked).items() if name not in {"_meta", "task"}}
    return {"method": asked["method"], **({"params": params} if params or "params" in asked else {})}


def digest(arguments: Any) -> str:
    """Return what tells whether a round is about the same arguments."""
    return hashlib.sha256(strictjson.canonical(arguments)).hexdigest()


# For servers of the newer era, and back to callers of the older one


def to_newer(
    message: Mapping[str, Any], capabilities: Mapping[str, Any], client: Mapping[str, Any], level: str = "", **more: Any
) -> dict[str, Any]:
    """Return a request as a server of the newer era gets it; `more` are further parameters, of a round.

    `level` is that of the logs which the caller wants to hear.
    """
    params = {name: value for name, value in _params(message).items() if name != "task"}
    ours: dict[str, Any] = {VERSION_KEY: NEWEST, CAPABILITIES_KEY: dict(capabilities), CLIENT_KEY: dict(client)}
    if level:
        ours[LEVEL_KEY] = level
    return {**message, "params": {**params, **more, "_meta": {**_meta(params), **ours}}}


def initialized(found: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the result of `initialize` that says what a server said to `server/discover`.

    Left out is what the gateway does not translate: tasks and extensions.
    """
    known = ("tools", "prompts", "resources", "completions", "logging", "experimental")
    capabilities = {name: value for name, value in _object(found.get("capabilities")).items() if name in known}
    info = server_of(found)
    made = {
        "protocolVersion": version if version in LEGACY else LEGACY[-1],
        "capabilities": capabilities,
        "serverInfo": info if isinstance(info, Mapping) else {"name": "server", "version": "unknown"},
    }
    return {**made, "instructions": found["instructions"]} if "instructions" in found else made


def older_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of the newer era as a caller of the older one gets it."""
    return {name: value for name, value in result.items() if name not in {"resultType", "ttlMs", "cacheScope"}}


def older_error(method: str, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error of the newer era as a caller of the older one gets it."""
    names_one = method == "resources/read" and "uri" in _object(error.get("data"))
    return {**error, "code": _NOT_FOUND} if names_one and error.get("code") == INVALID_PARAMS else dict(error)


def mirrored(message: Mapping[str, Any], carried: Mapping[tuple[str, ...], str]) -> list[tuple[bytes, bytes]]:
    """Return the header fields that a request of the newer era needs beside its body.

    `carried` are the names of header fields, by the path of the argument that each one carries.
    """
    method, params = str(message["method"]), _params(message)
    fields = [(b"mcp-protocol-version", NEWEST.encode()), (b"mcp-method", method.encode())]
    name = params.get(NAME_MEMBER.get(method, ""))
    if isinstance(name, str):
        fields.append((b"mcp-name", encode_mirrored(name).encode()))
    for path, header in carried.items():
        if (shown := shown_in_field(argument(params, path))) is not None:
            fields.append((f"mcp-param-{header.lower()}".encode(), encode_mirrored(shown).encode()))
    return fields


def argument(params: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return one argument of a call, None when it is not there."""
    value: Any = params.get("arguments")
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def shown_in_field(value: Any) -> str | None:
    """Return how a header field shows an argument; None where it shows none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def annotated(tool: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Return which arguments of a tool travel in a header field as well (`x-mcp-header`), by their paths."""
    return dict(_annotated(tool.get("inputSchema"), ()))


def _annotated(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(schema, Mapping) or len(path) > 20:
        return
    header = schema.get("x-mcp-header")
    if path and isinstance(header, str) and header.isascii() and header.replace("-", "").isalnum():
        yield path, header
    for name, inner in _object(schema.get("properties")).items():
        yield from _annotated(inner, (*path, name))


def _params(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(message.get("params"))


def _meta(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(params.get("_meta"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
