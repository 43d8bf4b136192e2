"""Is this request meant for us? The Host and Origin checks against DNS rebinding. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Misdirected:
    """Why the request is not for us: 421 for a foreign Host, 403 for a foreign Origin."""

    status: int
    message: str


def misdirected(
    headers: Iterable[tuple[bytes, bytes]], public_url: str, extra_hosts: Sequence[str]
) -> Misdirected | None:
    """Compare Host (without port) and Origin (exactly) with the gateway's own address and the extra hosts.

    Without a public address only loopback names are ours. An absent Origin is fine: only browsers send one.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    own = urlsplit(public_url).netloc if public_url else ""
    known = {_without_port(host) for host in (own, *extra_hosts) if host} or LOOPBACK
    if len(hosts) != 1 or _without_port(hosts[0]) not in known:
        return Misdirected(421, "This gateway does not answer to that host name.")
    if len(origins) > 1 or (origins and not _is_ours(origins[0].lower(), public_url, extra_hosts)):
        return Misdirected(403, "Requests from that origin are not accepted.")
    return None


def _is_ours(origin: str, public_url: str, extra_hosts: Sequence[str]) -> bool:
    if not public_url:
        return _without_port(urlsplit(origin).netloc) in LOOPBACK
    return origin in {public_url.lower(), *(f"https://{host.lower()}" for host in extra_hosts)}


def _without_port(host: str) -> str:
    lowered = host.strip().lower()
    if lowered.startswith("["):
        return lowered.partition("]")[0] + "]"
    return lowered.partition(":")[0]
