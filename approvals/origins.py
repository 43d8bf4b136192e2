"""Under which host names the gateway answers, and from which web origins. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"http": 80, "https": 443}
# RFC 9110, section 7.2: a name or an address, and a port. What else `urlsplit` would skip could be read in two ways.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Own:
    """Our own address, and the further names under which we may be called."""

    public_url: str
    extra_hosts: Collection[str] = ()


def host_allowed(host: str, own: Own) -> bool:
    """Say whether a Host header names this gateway; the port does not count.

    Without a public URL only names of this machine itself do, so that a page of the web that had its own name
    resolved to 127.0.0.1 (DNS rebinding) gets nothing.
    """
    parts = _split(f"//{host}")
    name = parts.hostname
    if not name or not _HOST.fullmatch(host) or _port(parts) == -1:
        return False
    ours = _split(own.public_url).hostname
    return name in ({ours} if ours else LOOPBACK) or name in {extra.lower() for extra in own.extra_hosts}


def origin_allowed(origin: str, host: str, own: Own) -> bool:
    """Say whether a page of this web origin (RFC 6454) may act here; scheme, name and port must be equal.

    Without a public URL the origin must name the very host and port that was called. For an extra host any
    port and scheme will do: it stands behind a proxy that we know nothing of.
    """
    parts = _split(origin)
    if parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query or _port(parts) == -1:
        return False
    if parts.hostname in {extra.lower() for extra in own.extra_hosts}:
        return True
    ours = _split(own.public_url or f"{parts.scheme}://{host}")
    return _origin(parts) == _origin(ours) and host_allowed(parts.netloc, own)


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
