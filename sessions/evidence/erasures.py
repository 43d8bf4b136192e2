"""The erasures that account for what is gone from a bundle, also those recorded after its stretch of the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sessions import logstore, store
from sessions.checkpoint import parse
from sessions.evidence.gwverify.verification import ERASURES, LATER
from sessions.evidence.period import Log
from sessions.leaf import decode
from sessions.models import ErasedPayload, LogIndex
from sessions.tree import Subtrees

_AT_ONCE: Final = 500


def write_erasures(folder: Path, log: Log, end: int, gone: Sequence[str]) -> dict[str, int]:
    """Write the erasures of these commitments (hex) that lie behind the stretch, each with its proof, if there are any.

    Returns how many of the payloads were erased, by why (`expired`, `request`).
    """
    entries = _entries(gone)
    wanted, counts = set(gone), Counter[str]()
    note = logstore.last_note(store.current())
    size = 0 if note is None else parse(note)[0].size
    later = []
    for index, data in sorted(entries.items()):
        facts = decode(data).facts
        named = facts.get("commitments")
        found = wanted.intersection(named if isinstance(named, list) else ())
        counts[str(facts.get("why") or "erased")] += len(found)
        wanted -= found
        if end <= index < size:
            later.append((index, data))
    if later and note is not None:
        tree = Subtrees(log.leaf_hashes(size))
        with (folder / Path(ERASURES).name).open("w", encoding="utf-8") as file:
            for index, data in later:
                proof = [one.hex() for one in tree.inclusion_proof(index)]
                line: dict[str, Any] = {"i": index, "size": size, "proof": proof, "leaf": data.decode()}
                file.write(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")
        (folder / Path(LATER).name).write_text(f"{note}\n")
    return dict(sorted(counts.items()))


def _entries(gone: Sequence[str]) -> dict[int, bytes]:
    """Return the entries that erased these, by their place in the log."""
    hashes: set[bytes] = set()
    for at in range(0, len(gone), _AT_ONCE):
        some = [bytes.fromhex(one) for one in gone[at : at + _AT_ONCE]]
        rows = ErasedPayload.objects.filter(commitment__in=some).values_list("leaf_hash", flat=True)
        hashes.update(bytes(one) for one in rows)
    found: dict[int, bytes] = {}
    ordered = sorted(hashes)
    for at in range(0, len(ordered), _AT_ONCE):
        places = LogIndex.objects.filter(entry__leaf_hash__in=ordered[at : at + _AT_ONCE])
        found |= {index: bytes(leaf) for index, leaf in places.values_list("log_index", "entry__leaf")}
    return found
