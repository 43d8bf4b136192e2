"""The parent of one stdio server: starts it under its limits, and leaves nothing of it behind.

A program of its own that needs only the standard library. It gets a socket (its descriptor is the first argument), the
limits as JSON and the command; standard input, output and error are the server's. It says on the socket what became of
the start (`started`, `failed REASON`) and of the server (`ended REASON`). When the other end of the socket closes, also
because the runner was killed, the server is ended: it had its end of input, is given `grace` seconds, then SIGTERM and
as long again, then SIGKILL, as the MCP specification asks (2025-11-25, lifecycle, shutdown).

On Linux the keeper adopts whatever the server's processes leave behind (PR_SET_CHILD_SUBREAPER), so a process that
moved to a session of its own is found and ended as well; elsewhere the server's process group is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
MEASURE_SECONDS = 0.5
MEASURE_BUSY_SECONDS = 0.05
KILL_ROUNDS = 200
_LINUX = sys.platform == "linux"


def main(arguments: list[str]) -> int:
    """Keep one server from its start to its end; return 0."""
    control, limits, command = socket.socket(fileno=int(arguments[0])), json.loads(arguments[1]), arguments[2:]
    control.set_inheritable(False)
    control.setblocking(False)
    # Its own end is the runner's to decide, by the socket.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake = _woken_by_children()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = _start(command, limits)
    except OSError as error:
        _tell(control, f"failed {error.strerror or 'not allowed'}")
        return 0
    _tell(control, "started")
    _let_go_of_the_pipes()
    Keeper(control, wake, server, limits).keep()
    return 0


class Keeper:
    """Watches one running server."""

    def __init__(self, control: socket.socket, wake: int, server: int, limits: dict[str, Any]) -> None:
        self._control = control
        self._wake = wake
        self._server = server
        self._limits = limits
        self._status: int | None = None  # of the server, when it ended

    def keep(self) -> None:
        """Wait until the server ends, breaks a limit or is not wanted any more; end all of it, and say why."""
        reason = self._watch()
        if not reason:
            self._ask_to_end()
        self._kill_all()
        _tell(self._control, f"ended {reason or self._how()}")

    def _watch(self) -> str:
        """Return why the server must go; empty when the runner lets it go."""
        pause = MEASURE_BUSY_SECONDS
        while True:
            readable = self._wait(pause)
            if self._reap():
                return self._how()
            if self._control in readable and not _still_wanted(self._control):
                return ""
            if reason := self._over():
                return reason
            pause = min(pause * 2, MEASURE_SECONDS)

    def _wait(self, seconds: float) -> list[Any]:
        both: list[Any] = [self._control, self._wake]
        readable = select.select(both, [], [], seconds)[0]
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        return readable

    def _reap(self) -> bool:
        """Collect everybody who ended; say whether the server did."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._server:
                    self._status = found[1]
        return self._status is not None

    def _how(self) -> str:
        if self._status is None:
            return "when it was told to"
        code = os.waitstatus_to_exitcode(self._status)
        return f"with exit status {code}" if code >= 0 else f"by signal {-code}"

    def _over(self) -> str:
        """Return which limit of the whole tree of processes is broken."""
        if not _LINUX:
            return ""
        everybody = list(_descendants(os.getpid()))
        if len(everybody) > self._limits["processes"]:
            return f"having more than {self._limits['processes']} processes"
        if sum(map(_resident, everybody)) > self._limits["memory"]:
            return f"having more than {self._limits['memory']} bytes of memory"
        return ""

    def _ask_to_end(self) -> None:
        """Give the server time to go by itself, then ask it."""
        for number in (None, signal.SIGTERM):
            if number is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._server, number)
            until = time.monotonic() + self._limits["grace"]
            while not self._reap() and (left := until - time.monotonic()) > 0:
                select.select([self._wake], [], [], left)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            if self._status is not None:
                return

    def _kill_all(self) -> None:
        """Kill until nobody is left; who forks faster than that is killed with its whole group."""
        for _ in range(KILL_ROUNDS):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._server, signal.SIGKILL)
            for pid in list(_descendants(os.getpid())) if _LINUX else []:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            if self._is_childless():
                return
            time.sleep(0.005)

    def _is_childless(self) -> bool:
        try:
            found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if found[0] == self._server:
            self._status = found[1]
        return False


def _start(command: list[str], limits: dict[str, Any]) -> int:
    """Start the server in a session of its own and return its process. Raises OSError where it cannot."""
    told, tell = os.pipe()  # closed by the kernel when the server's program takes over
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(command, limits, keeper)
        except OSError as error:
            os.write(tell, str(error.errno or 0).encode())
        except ValueError:
            os.write(tell, b"0")
        finally:
            os._exit(127)
    os.close(tell)
    failed = os.read(told, 100)
    os.close(told)
    if failed:
        os.waitpid(pid, 0)
        raise OSError(int(failed), os.strerror(int(failed)))
    return pid


def _become(command: list[str], limits: dict[str, Any], keeper: int) -> None:
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != keeper:
        os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if limits["cwd"]:
        os.chdir(limits["cwd"])
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, limits["open_files"])
    # Not the address space, of which Node.js reserves far more than it uses.
    _lower(resource.RLIMIT_DATA, limits["memory"])
    os.execvp(command[0], command)  # noqa: S606 - no shell is meant


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _let_go_of_the_pipes() -> None:
    """Keep no end of the server's pipes: their end must be its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _woken_by_children() -> int:
    """Return a descriptor that can be read after a child ended."""
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def _still_wanted(control: socket.socket) -> bool:
    try:
        return bool(control.recv(100))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _tell(control: socket.socket, what: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        control.send(f"{what}\n".encode())


def _descendants(pid: int) -> Iterator[int]:
    """Yield every process below this one (proc(5), /proc/pid/task/tid/children)."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _descendants(child)


def _resident(pid: int) -> int:
    """Return how many bytes of memory a process has in use; none when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
