"""One running stdio server: its pipes, what it says on standard error, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from proxy.errors import UpstreamUnavailable
from proxy.stdio.framing import Lines, framed

if TYPE_CHECKING:
    from approvals.config.stdio import Limits
    from proxy.errors import Fault

KEEPER = Path(__file__).with_name("keeper.py")
CHUNK_BYTES = 64 * 1024
START_SECONDS = 10.0
# Beyond twice its grace a server is killed, and then there is nothing left to wait for.
END_MARGIN_SECONDS = 5.0
# What waits to be read by a server that does not read.
MOST_UNREAD = 8 * 1024 * 1024
LONGEST_COMPLAINT = 2000
COMPLAINTS, COMPLAINTS_PER_SECOND = 100.0, 2.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server of a connection is started. A server that was started otherwise is another server.

    `environment` is all that it gets. `longest` is the most bytes that one of its messages may have.
    """

    connection: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    limits: Limits
    cwd: str = ""
    longest: int = 32 << 20


class Child:
    """A server that was started. `ended` is set when nothing of it is left, and `why` says how that came."""

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process, control: _Control) -> None:
        self.launch = launch
        self.ended = asyncio.Event()
        self.why = ""
        self._process, self._control = process, control
        # All three are pipes, so all three are there.
        self._stdin = cast("asyncio.StreamWriter", process.stdin)
        self._stdout = cast("asyncio.StreamReader", process.stdout)
        self._stderr = cast("asyncio.StreamReader", process.stderr)
        self._is_read = False
        self._draining: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, launch: Launch, complain: Callable[[str], None]) -> Child:
        """Start a server; `complain` gets each line that it writes to standard error. Raises UpstreamUnavailable."""
        ours, theirs = socket.socketpair()
        limits = launch.limits
        kept = {
            "memory": limits.memory,
            "open_files": limits.open_files,
            "processes": limits.processes,
            "grace": limits.grace,
            "cwd": launch.cwd,
        }
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-S", str(KEEPER), str(theirs.fileno()), json.dumps(kept), *launch.command),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=dict(launch.environment),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    limit=CHUNK_BYTES,
                )
            except OSError as error:
                ours.close()
                raise UpstreamUnavailable(f"The server cannot be started: {error.strerror}.") from error
        child = cls(launch, process, await _Control.of(ours))
        child._watching = asyncio.create_task(child._watch(complain))
        try:
            async with asyncio.timeout(START_SECONDS):
                told = await child._control.next()
        except TimeoutError:
            told = "failed it did not start in time"
        except asyncio.CancelledError:
            await asyncio.shield(child.end())
            raise
        if told != "started":
            await child.end()
            reason = told.removeprefix("failed ") or "its keeper ended"
            raise UpstreamUnavailable(f"The server's command cannot be started: {reason}.")
        return child

    def send(self, message: bytes, _not_sent: Callable[[Fault], None] | None = None) -> None:
        """Hand one message to the server, whole or not at all. Raises UpstreamUnavailable: then not a byte of it."""
        if self.ended.is_set() or self._stdin.is_closing():
            raise UpstreamUnavailable(f"The server ended {self.why}".rstrip() + ".")
        if self._stdin.transport.get_write_buffer_size() > MOST_UNREAD:
            raise UpstreamUnavailable("The server does not read what it is sent.")
        self._stdin.write(framed(message))

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield what the server writes, line by line, until it ends or closes its output. Raises LineTooLong."""
        lines = Lines(self.launch.longest)
        self._is_read = True
        try:
            async for chunk in _chunks(self._stdout):
                for line in lines.feed(chunk):
                    yield line
        finally:
            self._is_read = False

    async def end(self) -> None:
        """End the server and all it began, gently first; return when nothing is left of it."""
        self._control.close()
        self._stdin.close()
        # Its end is seen when its pipes have ended, so somebody must read them to their ends.
        if not self._is_read and self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        await self._end()

    async def _drain(self) -> None:
        async for _ in _chunks(self._stdout):
            pass

    async def _end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * self.launch.limits.grace + END_MARGIN_SECONDS):
                await self.ended.wait()
            return
        # The keeper hangs, which it never should: the kernel ends the server with it.
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.ended.wait()

    async def _watch(self, complain: Callable[[str], None]) -> None:
        """Read what is complained of, and see the end."""
        reading = asyncio.create_task(_complaints(self._stderr, complain))
        await self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await reading
                self.why = (await self._control.last()).removeprefix("ended ")
        self._control.close()
        self._control.forget()
        self._stdin.close()
        self.ended.set()


class _Control:
    """Our end of the socket to a keeper. Closing it ends the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._last = ""

    @classmethod
    async def of(cls, ours: socket.socket) -> _Control:
        return cls(*await asyncio.open_unix_connection(sock=ours))

    async def next(self) -> str:
        """Return what the keeper says next; empty when it has gone."""
        with suppress(OSError):
            self._last = (await self._reader.readline()).decode().strip() or self._last
            return self._last
        return ""

    async def last(self) -> str:
        """Return the last thing the keeper said."""
        with suppress(OSError):
            rest = (await self._reader.read()).decode().split("\n")
            self._last = next((line for line in reversed(rest) if line), self._last)
        return self._last

    def close(self) -> None:
        """Let the keeper go."""
        # Only our direction: what it says of the end is still to be read.
        with suppress(OSError, RuntimeError):
            if self._writer.can_write_eof() and not self._writer.is_closing():
                self._writer.write_eof()

    def forget(self) -> None:
        """Close our end; nothing more is to be heard."""
        self._writer.close()


async def _chunks(pipe: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while chunk := await pipe.read(CHUNK_BYTES):
        yield chunk
        await asyncio.sleep(0)  # who writes without end must not stop everybody else


async def _complaints(stderr: asyncio.StreamReader, complain: Callable[[str], None]) -> None:
    """Hand on what a server writes to standard error, line by line; long lines are cut, floods are counted."""
    budget, dropped, rest = _Budget(), 0, b""
    async for chunk in _chunks(stderr):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_COMPLAINT:
            lines, rest = [*lines, rest], b""
        for line in lines:
            if not budget.take():
                dropped += 1
                continue
            if dropped:
                complain(f"({dropped} lines left out)")
                dropped = 0
            complain(line[:LONGEST_COMPLAINT].decode("utf-8", "replace").rstrip())
    if rest:
        complain(rest[:LONGEST_COMPLAINT].decode("utf-8", "replace").rstrip())
    if dropped:
        complain(f"({dropped} lines left out)")


class _Budget:
    """How many lines of a server's complaints are worth a line in the log."""

    def __init__(self) -> None:
        self._left, self._at = COMPLAINTS, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(COMPLAINTS, self._left + (now - self._at) * COMPLAINTS_PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def usual_environment() -> dict[str, str]:
    """Return what every server gets of this process's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {"PATH": os.defpath, **kept}
