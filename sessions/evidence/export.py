"""Exports the evidence of a period: the log between two checkpoints, what it speaks of, and tables made from it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from sessions import ledger
from sessions.checkpoint import Signer
from sessions.evidence.bundle import VERIFIER, pack, write_verifier
from sessions.evidence.derived import Derived, kept
from sessions.evidence.erasures import write_erasures
from sessions.evidence.matrix import Published, write_policies
from sessions.evidence.period import Log, Period
from sessions.evidence.tables import Read
from sessions.leaf import decode, leaf_hash, timestamp
from sessions.rows import PayloadRow
from sessions.tree import Frontier, Subtrees

_AT_ONCE: Final = 200
Progress = Callable[[int, int], None]
"""Called with how many entries were written, and of how many."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the bundle, the digest of its manifest, the stretch of the log, rows by population."""

    path: Path
    manifest: str
    period: Period
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export: a period (`since` inclusive, `until` exclusive, aware), with masked payloads or without."""

    since: datetime
    until: datetime
    payloads: bool = True


def export(
    wanted: Wanted, target: Path, signer: Signer, report: Callable[[dict[str, Any]], str], progress: Progress
) -> Exported:
    """Write the bundle of a period from one view of the database, and return what it holds.

    `report` renders the HTML page from the summary. The same period of the same log gives the same bytes, once the
    period is over. Raises NotSealed, OSError, ValueError for an empty or reversed period.
    """
    if wanted.since >= wanted.until:
        raise ValueError("the period ends before it begins")
    with tempfile.TemporaryDirectory(prefix="holdgate-evidence-") as made, ledger.snapshot() as view:
        folder, log = Path(made), Log(view)
        period = log.period(wanted.since, wanted.until)
        summary = _write(folder, log, period, wanted, progress)
        told = {
            "origin": signer.name,
            "from": timestamp(wanted.since),
            "to": timestamp(wanted.until),
            "payloads": wanted.payloads,
            "log": {"start": period.start, "end": period.end},
            "rows": summary["rows"],
        }
        (folder / "log" / "key.txt").write_text(f"{signer.verify_key}\n")
        _json(folder / "integrity" / "summary.json", summary)
        (folder / "README.html").write_text(report({**told, **summary, "key": str(signer.verify_key)}))
        write_verifier(folder / VERIFIER)
        return Exported(target, pack(folder, target, told, signer), period, summary["rows"])


def _write(folder: Path, log: Log, period: Period, wanted: Wanted, progress: Progress) -> dict[str, Any]:
    for name in ("log", "policy", "integrity", "access"):
        (folder / name).mkdir()
    hashes = log.leaf_hashes(period.end)
    root = _start(folder / "log" / "start.json", period, hashes)
    tree = Subtrees(hashes)
    del hashes
    published = _publications(folder / "policy", log, period, tree)
    write_policies(folder, published, timestamp(wanted.since), timestamp(wanted.until))
    _keys(folder / "log" / "keys.jsonl", log, period, tree)
    with (folder / "log" / "checkpoints.txt").open("w") as file:
        file.writelines(f"{row.note}\n" for row in log.checkpoints(period))
    written = _Writer(folder, log, wanted, root)
    total = period.end - period.start
    for number, chunk in enumerate(_chunks(log.entries(period.start, period.end))):
        written.chunk(chunk)
        progress(min((number + 1) * _AT_ONCE, total), total)
    erased = write_erasures(folder / "log", log, period.end, written.gone)
    return {**written.close(period, tree), "payloads_erased": erased}


class _Writer:
    """Writes entries, payloads and tables as the entries come."""

    def __init__(self, folder: Path, log: Log, wanted: Wanted, root: str) -> None:
        self._folder, self._log, self._wanted = folder, log, wanted
        self._entries: IO[str] = (folder / "log" / "entries.jsonl").open("w", encoding="utf-8")
        self._payloads: IO[str] = (folder / "log" / "payloads.jsonl").open("w", encoding="utf-8")
        self._derived = Derived(folder, timestamp(wanted.since), timestamp(wanted.until), root)
        self._bodies: dict[str, bytes] = {}
        self._missing: Counter[str] = Counter()
        self.gone: list[str] = []

    def chunk(self, chunk: list[tuple[int, bytes]]) -> None:
        """Write some entries with their payloads."""
        found = [(index, data, decode(data)) for index, data in chunk]
        committed = [one.digest for _, _, leaf in found for one in leaf.payloads.values()]
        stored = self._log.payloads(committed)
        for index, data, leaf in found:
            _line(self._entries, {"i": index, "leaf": data.decode()})
            have = {name: stored[one.digest] for name, one in leaf.payloads.items() if one.digest in stored}
            self._missing.update(kind for kind in (leaf.payloads.keys() - have.keys()))
            self.gone += [one.digest for name, one in leaf.payloads.items() if name not in have]
            in_tables = kept(leaf.kind)
            for name in sorted(have):
                if name in in_tables:
                    self._bodies[have[name].commitment.hex()] = have[name].body
                # What stands in a table anyway can be checked by its payload alone.
                if self._wanted.payloads or name in in_tables:
                    _line(self._payloads, _payload(have[name]))
            self._derived.entry(Read(index, leaf_hash(data).hex(), leaf))

    def close(self, period: Period, tree: Subtrees) -> dict[str, Any]:
        """Finish all files and return the summary: counts, and what must be zero."""
        earlier: dict[str, tuple[str, bytes]] = {}
        with (self._folder / "access" / "earlier.jsonl").open("w", encoding="utf-8") as file:
            for session in self._derived.begun_before():
                found = self._log.start_of(session, period.start)
                if found is None:
                    continue
                index, data, row = found
                earlier[session] = (decode(data).actor, row.body)
                proof = [one.hex() for one in tree.inclusion_proof(index)]
                _line(file, {"i": index, "size": period.end, "proof": proof, "leaf": data.decode(), **_payload(row)})
        told = self._derived.close(self._bodies, earlier)
        for part in (self._entries, self._payloads):
            part.close()
        return {**told, "payloads_missing": dict(sorted(self._missing.items()))}


def _chunks(entries: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _start(path: Path, period: Period, hashes: list[bytes]) -> str:
    """Write the edge of the tree where the stretch begins; return the root (hex) of the tree where it ends."""
    frontier = Frontier()
    for one in hashes[: period.start]:
        frontier.append(one)
    stored = frontier.to_bytes()
    _json(path, {"size": period.start, "hashes": [stored[at : at + 32].hex() for at in range(0, len(stored), 32)]})
    for one in hashes[period.start :]:
        frontier.append(one)
    return frontier.root().hex()


def _keys(path: Path, log: Log, period: Period, tree: Subtrees) -> None:
    """Every entry that signed a key in, or retired one, up to the end, with the proof that it is in the log."""
    with path.open("w", encoding="utf-8") as file:
        for index, data in log.key_changes(period.end):
            proof = [one.hex() for one in tree.inclusion_proof(index)]
            _line(file, {"i": index, "size": period.end, "proof": proof, "leaf": data.decode()})


def _publications(folder: Path, log: Log, period: Period, tree: Subtrees) -> list[Published]:
    """Every policy published up to the end, each with the proof that its publication is in the log."""
    found = []
    with (folder / "publications.jsonl").open("w", encoding="utf-8") as file:
        for index, data in log.publications(period.end):
            leaf = decode(data)
            digest = leaf.payloads["document"].digest
            for row in log.payloads([digest]).values():
                (folder / f"{leaf.revision}.json").write_bytes(row.body)
                proof = [one.hex() for one in tree.inclusion_proof(index)]
                place = {"i": index, "size": period.end, "proof": proof}
                named = {"revision": leaf.revision, "digest": leaf.digest}
                _line(file, {**place, **named, "leaf": data.decode(), "salt": row.salt.hex()})
                found.append(Published(index, json.loads(data), row.body))
    return found


def _payload(row: PayloadRow) -> dict[str, str]:
    told = {"c": row.commitment.hex(), "name": row.name, "call": row.call_id, "salt": row.salt.hex()}
    try:
        return {**told, "text": row.body.decode()}
    except UnicodeDecodeError:
        return {**told, "base64": base64.b64encode(row.body).decode()}


def _line(file: IO[str], document: dict[str, Any]) -> None:
    file.write(json.dumps(document, ensure_ascii=False, sort_keys=True) + "\n")


def _json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def moment(text: str) -> datetime:
    """Return the moment of a date (its beginning in UTC) or of an RFC 3339 time. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        if len(text) > len("2026-01-01"):
            raise ValueError("a time needs its offset, such as 2026-01-01T08:00:00Z")
        return found.replace(tzinfo=UTC)
    return found
