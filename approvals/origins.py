"""Under which host names the gateway answers, and from which web origins. Pure."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"http": 80, "https": 443}


def host_allowed(host: str, *, public_url: str, extra_hosts: Collection[str] = ()) -> bool:
    """Say whether a Host header names this gateway; the port does not count.

    Without a public URL only names of this machine itself do, so that a page of the web that had its own name
    resolved to 127.0.0.1 (DNS rebinding) gets nothing.
    """
    name = _split(f"//{host}").hostname
    if not name:
        return False
    own = _split(public_url).hostname
    return name in ({own} if own else LOOPBACK) or name in {extra.lower() for extra in extra_hosts}


def origin_allowed(origin: str, host: str, *, public_url: str, extra_hosts: Collection[str] = ()) -> bool:
    """Say whether a page of this web origin (RFC 6454) may act here; scheme, name and port must be equal.

    Without a public URL the origin must name the very host and port that was called. For an extra host any port and
    scheme will do: it stands behind a proxy that we know nothing of.
    """
    parts = _split(origin)
    if parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query:
        return False
    if parts.hostname in {extra.lower() for extra in extra_hosts}:
        return True
    own = _split(public_url or f"{parts.scheme}://{host}")
    return _origin(parts) == _origin(own) and host_allowed(parts.netloc, public_url=public_url)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", _port(parts) or PORTS.get(parts.scheme, 0)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return -1


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
