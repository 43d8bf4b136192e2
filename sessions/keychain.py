"""The keys that sign the log, from the first one on: each later one is signed in by one before it. Pure.

The statements are entries of the record. Anybody who can add an entry can add one that looks like them; only the
signature in it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sessions.checkpoint import Checkpoint, CheckpointInvalid, Signer, VerifyKey, parse

ROTATED: Final = "log.key_rotated"
RETIRED: Final = "log.key_retired"
KINDS: Final = (ROTATED, RETIRED)


def statement(kind: str, name: str, key: str) -> str:
    """Return the text that is signed to say that a key (a vkey) signs the log `name` too, or signs it no more."""
    return f"{name}/{kind}\n{key}\n"


def facts_of(kind: str, key: VerifyKey, by: Signer) -> dict[str, Any]:
    """Return the facts of the entry that says so: the key, and the note that one of the keys in force signed."""
    return {"key": str(key), "note": by.note(statement(kind, key.name, str(key)))}


class KeyChain:
    """Who may sign: the first key, those signed in since, without those that retired. Feed it entries in order."""

    def __init__(self, first: VerifyKey) -> None:
        self.name = first.name
        self._keys = [first]
        self._retired: dict[VerifyKey, int] = {}

    @property
    def newest(self) -> VerifyKey:
        """Return the key that was signed in last."""
        return self._keys[-1]

    def learn(self, index: int, kind: str, facts: Mapping[str, Any]) -> str:
        """Take an entry of these kinds at its place in the log; return why it says nothing, or "" when it holds."""
        try:
            key = VerifyKey.parse(str(facts.get("key")))
        except CheckpointInvalid as error:
            return str(error)
        note = str(facts.get("note"))
        signers = [one for one in self._keys if one not in self._retired and (kind == ROTATED or one != key)]
        if key.name != self.name or not any(
            _signed(note, statement(kind, self.name, str(key)), one) for one in signers
        ):
            return "no key of the log signed it"
        if kind == ROTATED and key not in self._keys:
            self._keys.append(key)
        elif kind == RETIRED and key in self._keys:
            self._retired.setdefault(key, index)
        return ""

    def open(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that a key signed which was in force at its size.

        Raises CheckpointInvalid.
        """
        size = parse(note)[0].size
        refused = CheckpointInvalid("no signature of a key of the log")
        for key in self._keys:
            if size > self._retired.get(key, size):
                continue  # it had retired before
            try:
                return key.open(note)
            except CheckpointInvalid as error:
                refused = error
        raise refused


def _signed(note: str, text: str, key: VerifyKey) -> bool:
    return note.startswith(f"{text}\n") and key.signs(note)
