"""Receipts of callers beside the log of a bundle: is what was promised in it? Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sessions.evidence.gwverify.ed25519 import signature_holds

NAMES: Final = ("origin", "writer", "n", "entry", "signature")


def statement(receipt: Mapping[str, Any]) -> bytes:
    """Return the bytes that a receipt's signature covers."""
    return "\n".join(["holdgate-receipt-v1", *(str(receipt[name]) for name in NAMES[:-1]), ""]).encode()


def receipts_in(text: str) -> list[dict[str, Any]]:
    """Return all receipts in a JSON document, or in lines of which some are JSON, such as a pipeline's log."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in _documents(text):
        for receipt in _walk(one):
            found[tuple(str(receipt[name]) for name in NAMES)] = receipt
    return list(found.values())


class Promised:
    """Compares receipts with entries as they come; then `findings` says what is missing and `notes` what is there."""

    def __init__(self, receipts: list[dict[str, Any]]) -> None:
        self.notes: list[str] = []
        self._receipts = receipts
        self._wanted = {receipt["entry"] for receipt in receipts}
        self._places: dict[str, int] = {}
        self._keys: dict[str, str] = {}

    def entry(self, index: int, leaf: Mapping[str, Any], digest: str) -> None:
        """Take an entry of the bundle."""
        if digest in self._wanted:
            self._places[digest] = index
        if leaf["kind"] == "process.started":
            self._keys[leaf["writer"]] = str(leaf["facts"].get("receipts", ""))

    def findings(self, writers: Mapping[str, Sequence[int]]) -> Iterator[str]:
        """Yield what does not hold. `writers`: first and last number of each writer in the bundle, and how many."""
        for receipt in self._receipts:
            entry, writer, n = receipt["entry"], receipt["writer"], receipt["n"]
            where = f"receipt of entry {entry}"
            first, last, _ = writers.get(writer, (0, -1, 0))
            key = self._keys.get(writer)
            if key is not None and not _signed(receipt, key):
                yield f"receipt: {where}: the process {writer} did not sign it"
            elif entry in self._places:
                by = f"signed by {writer}" if key else f"of {writer}, whose start and key are not in this bundle"
                self.notes.append(f"{where}: log index {self._places[entry]}, {by}")
            elif first <= n <= last:
                yield f"receipt: {where}: number {n} of {writer} was promised, and the log does not have it"
            else:
                self.notes.append(f"{where}: outside of this bundle, so nothing can be said of it")


def _signed(receipt: Mapping[str, Any], key: str) -> bool:
    try:
        return signature_holds(bytes.fromhex(key), statement(receipt), bytes.fromhex(receipt["signature"]))
    except ValueError:
        return False


def _documents(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
    except ValueError:
        for line in text.splitlines():
            begin = line.find("{")
            if begin >= 0:
                try:
                    yield json.loads(line[begin:])
                except ValueError:
                    continue


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _walk(one)
    elif isinstance(value, dict):
        if all(name in value for name in NAMES) and isinstance(value["n"], int) and isinstance(value["entry"], str):
            yield value
        else:
            for one in value.values():
                yield from _walk(one)
