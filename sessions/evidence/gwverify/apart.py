"""The tables of a large bundle, made in a process of their own beside the verification."""

from __future__ import annotations

import hashlib
import multiprocessing
import zipfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from sessions.content import from_document
from sessions.evidence.derived import Derived
from sessions.evidence.gwverify.notes import CannotCheck
from sessions.evidence.gwverify.reading import lines, parsed
from sessions.evidence.tables import Read

ENTRIES: Final = "log/entries.jsonl"


class Apart:
    """Does what `Derived` does, but reads the entries itself: half of a verification's work on a second core."""

    def __init__(self, bundle: str, folder: Path, since: str, until: str, root: str) -> None:
        # A fresh interpreter: whoever verifies may have threads, which do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, bundle, folder, since, until, root), daemon=True)
        self._process.start()
        theirs.close()

    def entry(self, read: Read) -> None:
        """Pass over an entry."""

    def accounts(self) -> set[str]:
        """Wait for the other process, and return what `Derived.accounts` does. Raises ValueError, CannotCheck."""
        found: set[str] = self._told()
        return found

    def close(self, bodies: Mapping[str, bytes], earlier: Mapping[str, tuple[str, bytes]]) -> dict[str, Any]:
        """Return what `Derived.close` does. Raises ValueError, CannotCheck."""
        self._pipe.send((bodies, earlier))
        told: dict[str, Any] = self._told()
        self._process.join()
        return told

    def _told(self) -> Any:
        try:
            found = self._pipe.recv()
        except EOFError:
            raise CannotCheck("the process that makes the tables has ended") from None
        if isinstance(found, Exception):
            raise ValueError(f"{type(found).__name__}: {found}") from found
        return found


def _work(pipe: Connection, bundle: str, folder: Path, since: str, until: str, root: str) -> None:
    try:
        derived = Derived(folder, since, until, root)
        with zipfile.ZipFile(bundle) as archive:
            for row in lines(archive, ENTRIES):
                leaf = row["leaf"]
                digest = hashlib.sha256(b"\x00" + leaf.encode()).hexdigest()
                derived.entry(Read(row["i"], digest, from_document(parsed(leaf))))
        pipe.send(derived.accounts())
        pipe.send(derived.close(*pipe.recv()))
    except Exception as error:  # noqa: BLE001 - it is raised in the other process, which tells it
        pipe.send(ValueError(f"{type(error).__name__}: {error}"))
