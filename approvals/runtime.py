"""What one process of the gateway is made of below the data path: record, policy in force, waiters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from django.conf import settings

from approvals.catalogue.pins import Pins
from approvals.listening import Listener
from approvals.publication import CURRENT_REVISION, Policies
from approvals.recovery import end_late
from approvals.waiting import Waiting
from approvals.windows import Windows
from sessions import installation
from sessions.journal import Journal
from sessions.sequencer import Sequencer


@dataclass(slots=True)
class Runtime:
    """The parts that services need, built once per process."""

    journal: Journal
    policies: Policies = field(default_factory=Policies)
    waiting: Waiting = field(default_factory=Waiting)
    sequencer: Sequencer | None = None  # of a web process
    listener: Listener | None = None  # of a web process on PostgreSQL
    pins: Pins = field(default_factory=Pins)
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        self.windows = Windows(self.policies)

    async def refreshed(self) -> None:
        """Read anew what calls are judged by: the policy, and the windows of access."""
        await self.policies.refreshed()
        await self.windows.look()

    @property
    def public_url(self) -> str:
        """Return the gateway's own address, without a slash at its end."""
        return str(settings.PUBLIC_URL)


_lock = threading.Lock()
_current: Runtime | None = None


def runtime() -> Runtime:
    """Return this process's runtime; its journal starts at the first use."""
    global _current
    with _lock:
        if _current is None:
            journal = Journal(
                origin=installation.origin(),
                build=settings.BUILD,
                timeout=settings.RECORD_TIMEOUT,
                revision=CURRENT_REVISION,
                on_late=end_late,
            )
            journal.start()
            _current = Runtime(journal)
        return _current


def shut_down() -> None:
    """Drain and stop this process's journal; the next use starts a new one."""
    global _current
    with _lock:
        if _current is not None:
            _current.journal.stop()
            _current = None
