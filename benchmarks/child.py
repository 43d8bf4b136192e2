"""The processes of a run: started one by one, told what to do in lines of JSON, measured from /proc, always ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
GUARD = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Child:
    """A process of ours that speaks JSON lines; `hello` is its first line."""

    process: subprocess.Popen[bytes]
    hello: Any = None

    def ask(self, **command: Any) -> Any:
        """Send a command and return the answer. Raises RuntimeError when the process ended or reports a fault."""
        self.tell(**command)
        return self.read()

    def tell(self, **command: Any) -> None:
        """Send a command; `read` gives its answer later."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(command) + b"\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        """Return the next line. Raises RuntimeError when there is none, or when it says what went wrong."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait(GUARD)}")
        answer = orjson.loads(line)
        if isinstance(answer, dict) and "fault" in answer:
            raise RuntimeError(answer["fault"])
        return answer


@contextlib.contextmanager
def child(
    module: str, *arguments: str, core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run `python -m module` until the block ends; its first line has been read then."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=None if env is None else dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        pin(process.pid, core)
        started = Child(process)
        started.hello = started.read()
        yield started
    finally:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def pin(pid: int, core: int | None) -> None:
    """Keep all threads of a process on one core, where there is more than one and the system allows it."""
    if core is None or not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return
    cores = sorted(os.sched_getaffinity(0))
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {cores[core % len(cores)]})


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_kib(pid: int) -> int:
    """Return the proportional share of memory (PSS) of a process in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


async def serve_until_told(port: int) -> None:
    """Say the port and wait until standard input ends."""
    say({"port": port})
    reader = await commands()
    while await reader.readline():
        pass


async def commands() -> asyncio.StreamReader:
    """Return standard input as a stream of lines."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def say(answer: Any) -> None:
    """Write one line of JSON for the parent."""
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


async def obey(doers: Mapping[str, Callable[..., Any]]) -> None:
    """Do what each line of standard input says (`do` and its arguments) until it ends."""
    reader = await commands()
    while line := await reader.readline():
        command = orjson.loads(line)
        try:
            say(await doers[command.pop("do")](**command))
        except (AssertionError, OSError, ValueError, KeyError) as error:
            say({"fault": f"{type(error).__name__}: {error}"})
