"""Places outside the database where checkpoints are put, so that an older or shortened database shows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from sessions.checkpoint import Checkpoint, CheckpointInvalid, parse

EACH_MINUTE: Final = timedelta(minutes=1)
_NOTE_BYTES = 16_384
_END = b"\n\n"


class AnchorBroken(Exception):
    """An anchor that cannot be read or written, or holds something else than checkpoints."""


class Anchor(Protocol):
    """One place. Notes come in order of their size, each after it was committed."""

    def latest_size(self) -> int:
        """Return the size of the newest checkpoint there; 0 when there is none. Raises AnchorBroken."""

    def publish(self, note: str) -> None:
        """Keep a note durably; pass over one that is not newer than the newest there. Raises AnchorBroken."""


class FileAnchor:
    """An append-only file of notes, each followed by a blank line; on the disk before we return.

    A note torn by a crash is cut off before the next one is written: it was committed, and comes again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def latest_size(self) -> int:
        """Return the size of the newest whole checkpoint in the file; 0 without one. Raises AnchorBroken."""
        newest = self.newest()
        return newest.size if newest is not None else 0

    def newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint in the file, its signature not checked. Raises AnchorBroken."""
        try:
            with self.path.open("rb") as file:
                return _latest(file)[0]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._broken(error) from error

    def set_aside(self) -> Path:
        """Keep the file under another name, which tells its newest size, so that the next note begins a new one.

        Return where it is. Raises AnchorBroken.
        """
        aside = self.path.with_name(f"{self.path.stem}.until-{self.latest_size()}{self.path.suffix}")
        try:
            # A link, which fails where the name is taken: no anchor is ever written over.
            os.link(self.path, aside)
            self.path.unlink()
        except OSError as error:
            raise self._broken(error) from error
        return aside

    def publish(self, note: str) -> None:
        """Append a note and wait for the disk. Raises AnchorBroken."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                # A sequencer that lost its office may still be publishing: one at a time, in order.
                fcntl.flock(file, fcntl.LOCK_EX)
                latest, end = _latest(file)
                if latest is not None and parse(note)[0].size <= latest.size:
                    return
                file.truncate(end)
                file.write(note.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._broken(error) from error

    def length(self) -> int:
        """Return the bytes in the file now; 0 without one. Raises AnchorBroken."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def notes(self, until: int) -> Iterator[str]:
        """Yield the whole notes of the first `until` bytes, oldest first, in constant memory.

        Take `length()` before a view of the database is opened: what was anchored by then was committed, what
        came later may be newer than the view. Raises AnchorBroken.
        """
        try:
            with self.path.open("rb") as file:
                lines: list[bytes] = []
                for line in file:
                    until -= len(line)
                    if until < 0:
                        return
                    lines.append(line)
                    if len(lines) > 4 and line == b"\n":
                        yield b"".join(lines[:-1]).decode()
                        lines = []
        except (OSError, UnicodeDecodeError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> AnchorBroken:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        return AnchorBroken(f"anchor {self.path}: {reason}")


def _latest(file: BinaryIO) -> tuple[Checkpoint | None, int]:
    """Return the checkpoint of the last whole note and the offset where it ends."""
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - _NOTE_BYTES)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(_END)
    # A note holds one blank line itself: the end of one is the blank line after its signatures.
    while end != -1:
        begin = tail.rfind(_END, 0, tail.rfind(_END, 0, end))
        whole = tail[begin + len(_END) if begin != -1 else 0 : end + 1]
        try:
            return parse(whole.decode())[0], start + end + len(_END)
        except (CheckpointInvalid, UnicodeDecodeError):
            end = tail.rfind(_END, 0, end)
    if start:
        msg = "the end of the anchor's file is no checkpoint"
        raise AnchorBroken(msg)
    return None, 0
