"""The credentials of upstream servers, fetched where they live, at the moment they are needed.

A connection names its credential by reference (see `approvals.secrets`), so that rotation needs no restart. What a
file, a command or Vault said is kept for a moment: a file's for at most a second, the others' for some seconds.

They are read in a few threads of their own, so that a hanging mount, command or server cannot stop the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from approvals.secrets import Secret, Secrets, SecretUnavailable
from proxy.errors import CredentialUnavailable

__all__ = ["Credentials", "Secret"]


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: Secret
    until: float


class Credentials:
    """Resolves references. One per process; `resolve` is called for every forwarded request.

    `timeout` is how many seconds a reading may take, `keep` for how many seconds serves what a command or Vault said.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        timeout: float = 10.0,
        keep: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._timeout = timeout
        self._keep = {"file": min(1.0, keep), "exec": keep, "vault": keep}
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._running: dict[str, asyncio.Future[Secret]] = {}
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="credentials")

    async def resolve(self, reference: str) -> Secret:
        """Return the secret that a reference names. Raises CredentialUnavailable, whose message names no value."""
        kept = self._kept.get(reference)
        if kept is not None and self._clock() < kept.until:
            return kept.secret
        scheme = reference.partition(":")[0]
        try:
            if scheme not in self._keep:
                return self._secrets.fetch(reference)
            secret = await self._fetch(reference)
        except SecretUnavailable as error:
            raise CredentialUnavailable(f"The upstream credential is not available: {error}.") from None
        self._kept[reference] = _Kept(secret, self._clock() + self._keep[scheme])
        return secret

    def forget(self, reference: str) -> None:
        """Drop what is kept of a reference: the upstream has just refused it, so it was probably rotated."""
        self._kept.pop(reference, None)
        self._secrets.forget(reference)

    def close(self) -> None:
        """Let the threads go. A command still running is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, reference: str) -> Secret:
        """Read or run once for all calls that ask at the same time."""
        running = self._running.get(reference)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(self._threads, self._secrets.fetch, reference)
            self._running[reference] = running
            running.add_done_callback(lambda done: self._finished(reference, done))
        try:
            # Shielded: a caller that leaves must not take the answer from the others that wait for it.
            return await asyncio.wait_for(asyncio.shield(running), self._timeout + 1)
        except TimeoutError:
            raise CredentialUnavailable("Fetching the upstream credential took too long.") from None

    def _finished(self, reference: str, done: asyncio.Future[Secret]) -> None:
        self._running.pop(reference, None)
        if not done.cancelled():
            done.exception()  # seen here as well: every waiter may have given up before
