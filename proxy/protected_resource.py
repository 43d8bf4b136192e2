"""Where a caller gets a token: protected resource metadata (RFC 9728) and the challenge of a 401. Pure.

Each connection is a resource of its own, so that a token can be asked for exactly one of them (RFC 8707). The
documents are the same for a connection that does not exist: nobody learns here which ones there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from approvals.config.schema import Issuer

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_CONNECTION_PATH = re.compile(r"/mcp/([a-z0-9][a-z0-9-]{0,62})")
# What an error_description may consist of (RFC 6750 §3).
_UNSPEAKABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def connection_url(public_url: str, connection: str) -> str:
    """Return the address of a connection, which is also its audience and its resource identifier."""
    return f"{public_url.rstrip('/')}/mcp/{connection}"


def metadata_url(public_url: str, connection: str | None = None) -> str:
    """Return where the metadata of a connection lies, or of the gateway as a whole.

    The well-known part stands between the host and the path of the resource (RFC 9728 §3.1).
    """
    resource = urlsplit(connection_url(public_url, connection) if connection else public_url.rstrip("/"))
    # Quoted: the name comes with the request, and the address stands in a header field between quotes.
    return f"{resource.scheme}://{resource.netloc}{WELL_KNOWN}{quote(resource.path)}"


def metadata(path: str, *, public_url: str, issuers: Iterable[Issuer]) -> dict[str, object] | None:
    """Return the document for a request path, or None when no resource of ours can lie there.

    `path` is the path asked for, as seen from outside the gateway.
    """
    if not path.startswith(WELL_KNOWN):
        return None
    own_path = urlsplit(public_url).path.rstrip("/")
    rest = path.removeprefix(WELL_KNOWN)
    if not rest.startswith(own_path):
        return None
    match = _CONNECTION_PATH.fullmatch(rest.removeprefix(own_path))
    if match is None and rest not in {own_path, f"{own_path}/"}:
        return None
    return {
        "resource": connection_url(public_url, match.group(1)) if match else public_url.rstrip("/"),
        "authorization_servers": authorization_servers(issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": f"Holdgate: {match.group(1)}" if match else "Holdgate",
    }


def authorization_servers(issuers: Iterable[Issuer]) -> list[str]:
    """Return the issuers that a client can ask for a token, those where people sign in first.

    A client takes the first one that it can use. The identity tokens of CI jobs come with the job; nobody can
    sign in at their issuer, so it is named only when there is no other (MCP demands at least one).
    """
    configured = list(issuers)
    asked = [issuer for issuer in configured if issuer.kind.default != "ci"] or configured
    return [issuer.issuer for issuer in sorted(asked, key=lambda issuer: not issuer.login)]


def challenge(
    public_url: str,
    connection: str | None = None,
    *,
    error: Literal["invalid_request", "invalid_token"] | None = None,
    description: str = "",
) -> str:
    """Return the value of WWW-Authenticate for a 401 (RFC 6750 §3, RFC 9728 §5.1).

    `error` is None when the caller sent no credentials; then nothing but the way to get some is told.
    """
    fields = [f'resource_metadata="{metadata_url(public_url, connection)}"']
    if error is not None:
        fields.append(f'error="{error}"')
        if description:
            fields.append(f'error_description="{_UNSPEAKABLE.sub(" ", description)}"')
    return "Bearer " + ", ".join(fields)
