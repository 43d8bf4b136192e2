"""Runs a program of the gateway that kills or stops itself at a chosen point, so that no moment is left to luck.

    HOLDGATE_FAILPOINT="kill after call.intent@query" python -m tests.failpoints manage.py rungateway
    HOLDGATE_FAILPOINT="stop before checkpoint 3" python -m tests.failpoints -m celery -A gatewayproj worker

It says `kill` or `stop` (SIGKILL or SIGSTOP to itself), `before` or `after`, the point, and at which time of its being
reached (1). Points are the COMMIT of a transaction in which an entry of that kind is written (`approval.approved`), or
one about that tool (`call.intent@query`); `checkpoint`, the COMMIT that gives places and a signed head; `anchor`, the
writing of a checkpoint to its anchor; and `send`, the forwarding of a tool call, over when the answer's head has come.

The product knows nothing of this: the points are laid around its public functions from outside, in this process alone.
A gateway that is started as the manual says has no such switch, and no cost of one.
"""

from __future__ import annotations

import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from proxy.upstream import Answer, Upstream, UpstreamRequest
from sessions import logstore, store
from sessions.anchors import FileAnchor

VARIABLE = "HOLDGATE_FAILPOINT"
_SPELLED = re.compile(r"(kill|stop) (before|after) (\S+)(?: (\d+))?")
_KIND, _TOOL = 2, 7  # columns of an entry as the writer hands them to the store


class Failpoint:
    """One point, and how often it was reached."""

    def __init__(self, spelled: str) -> None:
        found = _SPELLED.fullmatch(spelled)
        if found is None:
            msg = f"{VARIABLE} must read 'kill|stop before|after POINT [NTH]', not {spelled!r}"
            raise SystemExit(msg)
        self._signal = signal.SIGKILL if found[1] == "kill" else signal.SIGSTOP
        self._when, self._point, self._left = found[2], found[3], int(found[4] or 1)
        self._lock = threading.Lock()

    def reached(self, when: str, points: Iterable[str]) -> None:
        """Strike, if this is it."""
        if when != self._when or self._point not in points:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


class _Written(threading.local):
    """What this thread's transaction has written so far."""

    def __init__(self) -> None:
        self.points: set[str] = set()


def install(failpoint: Failpoint) -> None:
    """Lay the points around the product's functions in this process."""
    written = _Written()
    _note_what_is_written(written)
    _around_commits(failpoint, written)
    _around_anchors(failpoint)
    _around_sending(failpoint)


def _note_what_is_written(written: _Written) -> None:
    write, append = store.Transaction.write, logstore.append

    def noted_write(transaction: store.Transaction, rows: store.Rows) -> None:
        write(transaction, rows)
        for entry in rows.entries:
            written.points |= {entry[_KIND], f"{entry[_KIND]}@{entry[_TOOL]}"}

    def noted_append(*arguments: Any) -> None:
        append(*arguments)
        written.points.add("checkpoint")

    _replace(store.Transaction, "write", noted_write)
    _replace(logstore, "append", noted_append)


def _around_commits(failpoint: Failpoint, written: _Written) -> None:
    rollback, leave = BaseDatabaseWrapper.rollback, store.Transaction.__exit__

    def watched(commit: Callable[[Any], None]) -> Callable[[Any], None]:
        def watched_commit(owner: Any) -> None:
            points, written.points = written.points, set()
            failpoint.reached("before", points)
            commit(owner)
            failpoint.reached("after", points)

        return watched_commit

    def watched_rollback(connection: BaseDatabaseWrapper) -> None:
        written.points = set()
        rollback(connection)

    def watched_leave(transaction: store.Transaction, *error: Any) -> None:
        written.points = set()
        leave(transaction, *error)

    # The writer's own transactions need not be Django's; where they are, the inner commit has no points left.
    _replace(store.Transaction, "commit", watched(store.Transaction.commit))
    _replace(BaseDatabaseWrapper, "commit", watched(BaseDatabaseWrapper.commit))
    _replace(BaseDatabaseWrapper, "rollback", watched_rollback)
    _replace(store.Transaction, "__exit__", watched_leave)


def _around_anchors(failpoint: Failpoint) -> None:
    publish = FileAnchor.publish

    def watched(anchor: FileAnchor, note: str) -> None:
        failpoint.reached("before", ["anchor"])
        publish(anchor, note)
        failpoint.reached("after", ["anchor"])

    _replace(FileAnchor, "publish", watched)


def _around_sending(failpoint: Failpoint) -> None:
    exchange = Upstream.exchange

    async def watched(upstream: Upstream, request: UpstreamRequest) -> Answer:
        points = ["send"] if b'"tools/call"' in request.body else []
        failpoint.reached("before", points)
        answer = await exchange(upstream, request)
        failpoint.reached("after", points)
        return answer

    _replace(Upstream, "exchange", watched)


def _replace(owner: object, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def main() -> None:
    """Run a script, or a module after `-m`, with the rest of the command line as its own."""
    if spelled := os.environ.get(VARIABLE):
        install(Failpoint(spelled))
    del sys.argv[0]
    if sys.argv[0] != "-m":
        runpy.run_path(sys.argv[0], run_name="__main__")
        return
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
