"""The credentials of upstream servers, fetched where they live, at the moment they are needed.

A connection names its credential by reference, so that rotation needs no restart and nothing secret is stored
here:

- `env:NAME`   the environment of the gateway, read each time
- `file:PATH`  a mounted secret, read anew when it changes (checked at most once a second)
- `exec:NAME`  the output of a command that the operator configured under that name (any secret manager's own
CLI) - `vault:…`    reserved

Files and commands run in a few threads of their own, so that a hanging mount or command cannot stop the event
loop.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from proxy.errors import CredentialUnavailable

LONGEST = 64 * 1024


class Secret:
    """Text that shows itself only when asked to: never in `repr`, `str`, formats, tracebacks or pickles."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        msg = "a secret is not pickled"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: Secret
    until: float


class Credentials:
    """Resolves references. One per process; `resolve` is called for every forwarded request.

    `commands` maps the NAME of `exec:NAME` to an argument vector; no shell reads it. `timeout` is how many
    seconds a file or command may take, `keep` how many seconds a command's output serves before it is run
    again.
    """

    def __init__(
        self,
        *,
        commands: Mapping[str, Sequence[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        keep: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = dict(commands or {})
        self._environ = os.environ if environ is None else environ
        self._timeout = timeout
        self._keep = {"file": min(1.0, keep), "exec": keep}
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._running: dict[str, asyncio.Future[str]] = {}
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="credentials")

    async def resolve(self, reference: str) -> Secret:
        """Return the secret that a reference names. Raises CredentialUnavailable, whose message names no
        value.
        """
        scheme, _, where = reference.partition(":")
        if scheme == "env":
            return _secret(self._environ.get(where), f"the environment has no {where}")
        if scheme not in self._keep:
            raise CredentialUnavailable(_UNKNOWN.get(scheme, "The credential reference has an unknown form."))
        kept = self._kept.get(reference)
        if kept is not None and self._clock() < kept.until:
            return kept.secret
        secret = _secret(await self._fetch(reference, scheme, where), "it is empty")
        self._kept[reference] = _Kept(secret, self._clock() + self._keep[scheme])
        return secret

    def forget(self, reference: str) -> None:
        """Drop what is kept of a reference: the upstream has just refused it, so it was probably rotated."""
        self._kept.pop(reference, None)

    def close(self) -> None:
        """Let the threads go. A command still running is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, reference: str, scheme: str, where: str) -> str:
        """Read or run once for all calls that ask at the same time."""
        running = self._running.get(reference)
        if running is None:
            read = self._read_file if scheme == "file" else self._run
            running = asyncio.get_running_loop().run_in_executor(self._threads, read, where)
            self._running[reference] = running
            running.add_done_callback(lambda done: self._finished(reference, done))
        try:
            # Shielded: a caller that leaves must not take the answer from the others that wait for it.
            return await asyncio.wait_for(asyncio.shield(running), self._timeout + 1)
        except TimeoutError:
            raise CredentialUnavailable("Fetching the upstream credential took too long.") from None

    def _finished(self, reference: str, done: asyncio.Future[str]) -> None:
        self._running.pop(reference, None)
        if not done.cancelled():
            done.exception()  # seen here as well: every waiter may have given up before

    def _read_file(self, path: str) -> str:
        try:
            with Path(path).open(encoding="utf-8") as file:
                return file.read(LONGEST + 1)
        except (OSError, UnicodeDecodeError):
            raise CredentialUnavailable("The file of the upstream credential cannot be read.") from None

    def _run(self, name: str) -> str:
        argv = self._commands.get(name)
        if not argv:
            raise CredentialUnavailable("No command is configured for the upstream credential.")
        try:
            # The operator's own configuration names the program; no text of a caller is among its arguments.
            done = subprocess.run(  # noqa: S603 - see above
                list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout, check=True
            )
            return done.stdout.decode()
        except subprocess.TimeoutExpired:
            raise CredentialUnavailable("The command for the upstream credential took too long.") from None
        except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
            raise CredentialUnavailable("The command for the upstream credential failed.") from None


_UNKNOWN = {"vault": "Credentials from vault: are not available in this version; use exec: with its CLI."}


def _secret(text: str | None, otherwise: str) -> Secret:
    """Make a secret of text that can stand in a header field: one line of visible ASCII, an end of line
    dropped.
    """
    value = (text or "").removesuffix("\n").removesuffix("\r")
    if not value:
        raise CredentialUnavailable(f"The upstream credential is not available: {otherwise}.")
    if len(value) > LONGEST or not value.isascii() or not value.isprintable() or value != value.strip():
        raise CredentialUnavailable("The upstream credential is not one line of printable ASCII.")
    return Secret(value)
