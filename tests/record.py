"""A record to try things on: a journal that runs for one test, a signed log, and ways to tamper with it.

Import the fixtures into a conftest.py: `from tests.record import journal, log  # noqa: F401`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection

from sessions import guards, ledger
from sessions.anchors import FileAnchor
from sessions.checkpoint import Signer
from sessions.events import Event
from sessions.journal import Journal
from sessions.rows import Finding
from sessions.sequencer import Sequencer
from sessions.verifier import Verifier

ORIGIN = "holdgate-test"


def new_journal(**changes: Any) -> Journal:
    """Return a journal as the tests use it, not started."""
    return Journal(**{"origin": ORIGIN, "build": "test", "timeout": 10.0, **changes})


@contextlib.contextmanager
def running(**changes: Any) -> Iterator[Journal]:
    """Run a journal for the length of a block."""
    journal = new_journal(**changes)
    journal.start()
    try:
        yield journal
    finally:
        journal.stop()


@pytest.fixture
def journal(transactional_db: None) -> Iterator[Journal]:
    """Return a running journal on the test database."""
    with running() as journal:
        yield journal


@dataclass(frozen=True, slots=True)
class Log:
    """A sequencer with its key and file anchor."""

    signer: Signer
    anchor: FileAnchor
    sequencer: Sequencer

    def verify(self, *, anchored: bool = True) -> list[Finding]:
        """Return everything the verifier finds in the database."""
        until = self.anchor.length()
        with ledger.snapshot() as source:
            notes = self.anchor.notes(until) if anchored and until else ()
            return list(Verifier(source, self.signer.verify_key, notes).run())


@pytest.fixture
def log(transactional_db: None, tmp_path: Path) -> Iterator[Log]:
    """Return a log that gives places when `log.sequencer.run_once()` is called."""
    signer = Signer(ORIGIN, Ed25519PrivateKey.generate())
    anchor = FileAnchor(tmp_path / "anchor" / "checkpoints.txt")
    made = Log(signer, anchor, Sequencer(signer, [anchor]))
    yield made
    made.sequencer.resign()


def tamper(sql: str, params: Sequence[Any] = ()) -> None:
    """Change the record as the owner of its tables could: without the triggers."""
    guards.drop(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
    guards.create(connection)


class Gate:
    """Work for `Journal.transact` that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> tuple[None, list[Event]]:
        self.reached.set()
        if not self._open.wait(20):
            msg = "nobody opened the gate"
            raise TimeoutError(msg)
        return None, []

    def open(self) -> None:
        """Let the writer go on."""
        self._open.set()
