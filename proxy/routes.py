"""The way to the server of a connection: networks, TLS and proxy, from its configuration and the files it names.

Files are read in a thread, at most once a second, and a context is made anew when one of them has changed: so a
certificate is rotated without a restart. Connections that stand go on; a new context makes new ones.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from proxy.errors import CredentialUnavailable, UpstreamUnavailable

if TYPE_CHECKING:
    from approvals.addresses import Networks
    from approvals.config.reaching import Proxy, Tls
    from approvals.secrets import Secret
    from proxy.credentials import Credentials

LOOK_SECONDS = 1.0


class Reached(Protocol):
    """What says how a server is reached: a connection, or an entry in the file of an agent."""

    @property
    def tls(self) -> Tls | None: ...
    @property
    def proxy(self) -> Proxy | None: ...
    @property
    def narrowed(self) -> Networks | None: ...


_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
Stamps = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Route:
    """What differs from the way that all connections share; None and empty mean that it does not."""

    networks: Networks | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: str | None = None
    proxy_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Kept:
    context: ssl.SSLContext
    stamps: Stamps
    until: float


class Routes:
    """Finds the way of each connection; one per process."""

    def __init__(self, credentials: Credentials, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._clock = clock
        self._contexts: dict[Tls, _Kept] = {}
        self._reading: dict[Tls, asyncio.Task[_Kept]] = {}

    async def of(self, connection: Reached) -> Route | None:
        """Return the way to a connection's server, None for the usual one. Raises faults of `proxy.errors`."""
        tls, proxy = connection.tls, connection.proxy
        if tls is None and proxy is None and connection.narrowed is None:
            return None
        return Route(
            networks=connection.narrowed,
            tls=None if tls is None else await self._context(tls),
            server_name=None if tls is None else tls.server_name,
            proxy=None if proxy is None else proxy.url,
            proxy_headers={} if proxy is None else await self._login(proxy),
        )

    async def secrets(self, connection: Reached) -> tuple[Secret, ...]:
        """Return what the proxy knows and nobody else may. Raises CredentialUnavailable."""
        proxy = connection.proxy
        if proxy is None or proxy.password is None:
            return ()
        return (await self._credentials.resolve(proxy.password),)

    async def _login(self, proxy: Proxy) -> Mapping[str, str]:
        if proxy.user is None or proxy.password is None:
            return {}
        secret = await self._credentials.resolve(proxy.password)
        pair = base64.b64encode(f"{proxy.user}:{secret.reveal()}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}

    async def _context(self, tls: Tls) -> ssl.SSLContext:
        kept = self._contexts.get(tls)
        if kept is not None and self._clock() < kept.until:
            return kept.context
        if (task := self._reading.get(tls)) is None:
            task = self._reading[tls] = asyncio.ensure_future(self._read(tls, kept))
            task.add_done_callback(lambda _: self._reading.pop(tls, None))
        # Shielded: a caller that leaves must not take the answer from the others that wait for it.
        kept = self._contexts[tls] = await asyncio.shield(task)
        return kept.context

    async def _read(self, tls: Tls, kept: _Kept | None) -> _Kept:
        password = await self._credentials.resolve(tls.password) if tls.password else None
        until = self._clock() + LOOK_SECONDS
        return await asyncio.to_thread(partial(_look, tls, kept, password, until))


def _look(tls: Tls, kept: _Kept | None, password: Secret | None, until: float) -> _Kept:
    """Return the context of these settings, the known one when no file has changed. Blocks; raises faults."""
    try:
        stamps = tuple(_stamp(name) for name in (tls.ca, tls.certificate, tls.key) if name is not None)
    except OSError as error:
        message = "A file of this connection's TLS settings (`tls`) cannot be read."
        raise UpstreamUnavailable(message, detail="tls_files") from error
    if kept is not None and kept.stamps == stamps:
        return _Kept(kept.context, stamps, until)
    return _Kept(_made(tls, password), stamps, until)


def _made(tls: Tls, password: Secret | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca and _path(tls.ca))
    except (OSError, ValueError) as error:
        message = "The authority of this connection's TLS settings (`tls.ca`) cannot be read."
        raise UpstreamUnavailable(message, detail="tls_files") from error
    context.minimum_version = _VERSIONS[tls.min_version]
    if tls.certificate is not None:
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(
                _path(tls.certificate), tls.key and _path(tls.key), password.reveal() if password else ""
            )
        except (OSError, ValueError) as error:
            message = "The client certificate of this connection (`tls.certificate`, `tls.key`) cannot be used."
            raise CredentialUnavailable(message, detail="client_certificate") from error
    return context


def _path(reference: str) -> str:
    return reference.removeprefix("file:")


def _stamp(reference: str) -> tuple[int, int, int]:
    status = Path(_path(reference)).stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
