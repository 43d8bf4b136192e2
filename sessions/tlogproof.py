"""A proof that an entry is in the log, as one text that other tools of transparency logs check. Pure.

Format: https://c2sp.org/tlog-proof.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sessions.tree import HASH_BYTES, ProofInvalid

HEAD: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,17})")
_MOST: Final = 63


class Proof(NamedTuple):
    """The place of an entry, the hashes from its sibling up, and the signed checkpoint over the tree (a note)."""

    place: int
    hashes: tuple[bytes, ...]
    note: str


def write(index: int, hashes: Sequence[bytes], note: str) -> str:
    """Return the text of a proof."""
    lines = [HEAD, f"index {index}", *(base64.b64encode(one).decode() for one in hashes)]
    return "\n".join(lines) + "\n\n" + note


def read(text: str) -> Proof:
    """Return the proof of a text; extra data in it is nobody's word and is passed over. Raises ProofInvalid."""
    above, blank, note = text.partition("\n\n")
    lines = above.split("\n")
    if lines.pop(0) != HEAD or not blank:
        raise ProofInvalid(f"not a proof of {HEAD}")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None or len(lines) > _MOST:
        raise ProofInvalid("no index, or more hashes than a tree can have levels")
    return Proof(int(found[1]), tuple(_hash(line) for line in lines), note)


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise ProofInvalid("a line of the proof is no base64") from error
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != line:
        raise ProofInvalid("a line of the proof is no hash")
    return data
