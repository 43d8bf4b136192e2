"""One verification of one bundle: the files, the tree, the payloads, the tables, the policies. Pure but for reading."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sessions.content import from_document
from sessions.evidence.derived import Derived
from sessions.evidence.gwverify.apart import ENTRIES, Apart
from sessions.evidence.gwverify.comparing import differences
from sessions.evidence.gwverify.notes import RETIRED, ROTATED, CannotCheck, Key, Keys, head_of, notes_in
from sessions.evidence.gwverify.reading import lines, parsed, unbase64, unhex
from sessions.evidence.gwverify.receipts import Promised, receipts_in
from sessions.evidence.matrix import Published, write_policies
from sessions.evidence.tables import Read
from sessions.tree import EMPTY_ROOT, Frontier, ProofInvalid, verify_inclusion

MANIFEST, NOTE, KEYS = "MANIFEST.json", "MANIFEST.note", "log/keys.jsonl"
ERASURES, LATER = "log/erasures.jsonl", "log/later.txt"
FORMAT: Final = "holdgate-evidence-v1"
EARLIER: Final = "access/earlier.jsonl"
_KEYED: Final = frozenset({ROTATED, RETIRED})
_BOUND: Final = frozenset({"approval.requested", "approval.approved", "call.intent"})
_BLOCK: Final = 1 << 20
APART_FROM: Final = 16 << 20  # bytes of entries from which a second process is worth its start
_COMMITMENT_TAG: Final = b"holdgate-payload-v1\x00"


def manifest_lines(name: str, manifest: bytes) -> list[str]:
    """Return the text that the log's key signs under a manifest; no checkpoint reads like it."""
    return [f"{name}/evidence-manifest", hashlib.sha256(manifest).hexdigest()]


Wanted = tuple[int, int, str, str]
"""A payload that an entry commits to: its length, the entry's log index, its name, its call."""


class Verification:
    """One verification of one bundle. Iterate `findings()` to its end; then the counters are valid."""

    def __init__(
        self, bundle: zipfile.ZipFile, key: Key, anchor: str = "", *, deep: bool = False, receipts: str = ""
    ) -> None:
        self.promised = Promised(receipts_in(receipts))
        self.entries = self.checkpoints = 0
        self.head, self._end = "", 0  # the tree over everything up to here
        self._zip, self._key, self._anchor, self._deep = bundle, Keys(key), anchor, deep
        self._changes: list[dict[str, Any]] = []  # entries that signed keys in, or retired them
        self._manifest: dict[str, Any] = {}
        self._bodies: dict[str, bytes] = {}  # payloads that say who somebody is, by commitment
        self._wanted: dict[str, Wanted] = {}  # by commitment
        self._erased: dict[str, str] = {}  # commitment -> why
        self._approved: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        self._governed: set[str] = set()  # digests of policies that entries name
        self._writers: dict[str, list[int]] = {}  # first and last number, how many

    def findings(self) -> Iterator[str]:
        """Check everything that can be checked and yield each finding as a line."""
        broken = False
        yield from self._learn_keys()
        for finding in self._files():
            broken = True
            yield finding
        if broken and not self._manifest:
            return
        with tempfile.TemporaryDirectory(prefix="gwverify-") as made:
            yield from self._contents(Path(made))

    def _contents(self, folder: Path) -> Iterator[str]:
        self._folder = folder
        try:
            yield from self._log()
            yield from self._payloads()
            yield from self._tables()
            yield from self._policies()
            yield from self._proved(self._changes, KEYS)
            yield from self.promised.findings(self._writers)
        except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
            yield f"malformed: the bundle does not have the form of {FORMAT} ({type(error).__name__}: {error})"

    def _learn_keys(self) -> Iterator[str]:
        """Find out which keys sign, before any signature is looked at: each says itself who signed it in."""
        if KEYS not in self._zip.namelist():
            return
        try:
            self._changes = list(self._lines(KEYS))
            leaves = [json.loads(one["leaf"]) for one in self._changes]
            # Who trusts a later key need not know by which it was signed in.
            trusted = (ROTATED, str(self._key))
            signed_in = [(leaf["kind"], leaf["facts"]["key"]) == trusted for leaf in leaves]
            since = signed_in.index(True) + 1 if any(signed_in) else 0
            for one, leaf in list(zip(self._changes, leaves, strict=True))[since:]:
                if not self._key.learn(one["i"], leaf["kind"], leaf["facts"]):
                    yield f"inserted: {KEYS}: no key of the log signed what log index {one['i']} says of one"
        except (KeyError, TypeError, ValueError, AttributeError, CannotCheck) as error:
            yield f"malformed: {KEYS} ({type(error).__name__}: {error})"

    def _proved(self, lines: list[dict[str, Any]], name: str) -> Iterator[str]:
        """Each line has the leaf of an entry, and the proof that it is in the log of this bundle."""
        for one in lines:
            proof = [unhex(sibling) for sibling in one["proof"]]
            try:
                self._in_the_log(one, one["leaf"].encode(), proof)
            except ProofInvalid:
                yield f"altered: {name}: log index {one['i']} is no such entry of this log"

    def _in_the_log(self, one: dict[str, Any], leaf: bytes, proof: list[bytes]) -> None:
        """Check that a leaf is where a line says, in the tree at the bundle's end. Raises ProofInvalid."""
        if one["size"] != self._end:  # a proof holds for several sizes
            raise ProofInvalid("of another tree")
        verify_inclusion(_leaf_hash(leaf), one["i"], one["size"], proof, unhex(self.head))

    def _files(self) -> Iterator[str]:
        names = self._zip.namelist()
        if len(set(names)) != len(names):
            yield "inserted: a file is there twice"
        if not {MANIFEST, NOTE} <= set(names):
            yield f"deleted: no {MANIFEST} or no {NOTE}"
            return
        manifest = self._zip.read(MANIFEST)
        lines = self._key.signed(self._zip.read(NOTE).decode("utf-8", "replace"))
        if lines != manifest_lines(self._key.name, manifest):
            yield f"altered: {MANIFEST} is not what the key signed"
            return
        self._manifest = json.loads(manifest)
        if self._manifest["format"] != FORMAT:
            raise CannotCheck(f"the bundle has the format {self._manifest['format']}, this is for {FORMAT}")
        listed = {one["path"]: one for one in self._manifest["files"]}
        for name in sorted(set(names) - listed.keys() - {MANIFEST, NOTE}):
            yield f"inserted: {name}: not in the manifest"
        for name, one in listed.items():
            if name not in names:
                yield f"deleted: {name}: in the manifest, not in the bundle"
            elif _digest(self._zip, name) != (one["sha256"], one["bytes"]):
                yield f"altered: {name}: not what the manifest says"

    def _lines(self, name: str) -> Iterator[Any]:
        return lines(self._zip, name)

    def _log(self) -> Iterator[str]:
        start = json.loads(self._zip.read("log/start.json"))
        tree = Frontier(start["size"], [unhex(one) for one in start["hashes"]])
        heads: dict[int, bytes] = {}
        yield from self._heads(heads)
        yield from self._anchored(heads)
        yield from self._root(tree, heads)
        root = heads[max(heads)] if heads else EMPTY_ROOT
        self._derived = self._make_derived(root.hex())
        yield from self._entries(tree, heads)
        if heads and max(heads) != tree.size:
            yield f"truncated: checkpoint {max(heads)}: the bundle ends after entry {tree.size}"
        if not heads and tree.size:
            yield "checkpoint missing: nothing signed covers the entries"
        stretch = self._manifest["log"]
        if (stretch["start"], stretch["end"]) != (start["size"], tree.size):
            yield f"altered: {MANIFEST}: the log in it goes from {start['size']} to {tree.size}"
        self.head, self._end = tree.root().hex(), tree.size
        for writer, (first, last, count) in self._writers.items():
            if last - first + 1 != count:
                yield f"deleted: writer {writer}: {last - first + 1 - count} of its entries are gone"

    def _heads(self, heads: dict[int, bytes]) -> Iterator[str]:
        """Take in the size and root of every checkpoint."""
        notes = list(notes_in(self._zip.read("log/checkpoints.txt").decode()))
        for number, note in enumerate(notes):
            trust = not self._deep and number != len(notes) - 1
            found = head_of(self._key.signed(note, trust=trust), self._key.name)
            if found is None:
                yield f"checkpoint signature: checkpoint {number + 1} of {len(notes)} is not signed by this key"
            else:
                heads[found[0]] = found[1]

    def _entries(self, tree: Frontier, heads: dict[int, bytes]) -> Iterator[str]:
        for row in self._lines(ENTRIES):
            index, text = row["i"], row["leaf"]
            if index != tree.size:
                yield f"deleted: log index {tree.size}: the next entry is number {index}"
            digest = _leaf_hash(text.encode())
            tree.append(digest)
            self.entries += 1
            yield from self._entry(index, parsed(text), digest.hex())
            if tree.size in heads:
                yield from self._root(tree, heads)

    def _make_derived(self, root: str) -> Derived | Apart:
        told = self._folder, self._manifest["from"], self._manifest["to"], root
        large = self._zip.getinfo(ENTRIES).file_size > APART_FROM
        return Apart(self._zip.filename, *told) if large and self._zip.filename else Derived(*told)

    def _root(self, tree: Frontier, heads: dict[int, bytes]) -> Iterator[str]:
        if tree.size in heads:
            self.checkpoints += 1
            if heads[tree.size] != tree.root():
                yield f"altered: checkpoint {tree.size}: the entries before it do not give its root"

    def _anchored(self, heads: dict[int, bytes]) -> Iterator[str]:
        for note in notes_in(self._anchor):
            found = head_of(self._key.signed(note), self._key.name)
            if found is None:
                yield "anchor: a note that this key did not sign"
            elif found[0] in heads and heads[found[0]] != found[1]:
                yield f"checkpoint altered: the anchor holds another root for {found[0]} entries"
            elif heads and min(heads) <= found[0] <= max(heads) and found[0] not in heads:
                yield f"deleted: checkpoint {found[0]}: the anchor holds it, the bundle does not"

    def _entry(self, index: int, leaf: dict[str, Any], digest: str) -> list[str]:
        """Take an entry; return what does not hold of it. (A list, for it is made a million times.)"""
        found, kind, payloads = [], leaf["kind"], leaf["payloads"]
        if leaf["origin"] != self._key.name:
            found.append(f"inserted: log index {index}: an entry of {leaf['origin']}")
        self._number(leaf["writer"], leaf["n"])
        self.promised.entry(index, leaf, digest)
        self._derived.entry(Read(index, digest, from_document(leaf)))
        self._governed.add(leaf["policy"]["digest"])
        for name, one in payloads.items():
            self._wanted[one["c"]] = (one["len"], index, name, leaf["call"])
        if kind == "payload.erased":
            self._erase(leaf["facts"])
        elif kind in _KEYED and not any(one["i"] == index for one in self._changes):
            found.append(f"deleted: {KEYS}: it lacks what log index {index} says of a key")
        elif kind in _BOUND:
            found += self._decision(f"log index {index}", leaf)
        return found

    def _number(self, writer: str, n: int) -> None:
        numbers = self._writers.get(writer)
        if numbers is None:
            self._writers[writer] = [n, n, 1]
            return
        if n > numbers[1]:
            numbers[1] = n
        elif n < numbers[0]:
            numbers[0] = n
        numbers[2] += 1

    def _decision(self, where: str, leaf: dict[str, Any]) -> Iterator[str]:
        """What was asked for, approved and run must be one call."""
        approval, digest = leaf["facts"].get("approval"), leaf["facts"].get("call")
        if leaf["kind"] == "approval.requested":
            self._asked[approval] = digest
        elif leaf["kind"] == "approval.approved":
            self._approved[approval] = digest
            if self._asked.get(approval, digest) != digest:
                yield f"contradiction: {where}: not the call that was asked for was approved"
        elif leaf["kind"] == "call.intent":
            held = leaf["facts"].get("verdict") == "hold" and approval in self._asked
            if held and (digest is None or self._approved.get(approval) != digest):
                yield f"contradiction: {where}: a call ran that was not approved, or not in this form"

    def _erase(self, facts: dict[str, Any]) -> None:
        for commitment in facts["commitments"]:
            self._erased.setdefault(commitment, str(facts.get("why") or "erased"))

    def _later_erasures(self) -> Iterator[str]:
        """Take in what was erased after the stretch; each entry is proved to be in a later signed tree."""
        if ERASURES not in self._zip.namelist():
            return
        note = next(iter(notes_in(self._zip.read(LATER).decode())), "")
        head = head_of(self._key.signed(note), self._key.name)
        for one in self._lines(ERASURES):
            leaf, where = one["leaf"].encode(), f"{ERASURES}: log index {one['i']}"
            proof = [unhex(sibling) for sibling in one["proof"]]
            try:
                if head is None or head[0] != one["size"]:
                    raise ProofInvalid("no signed tree of this size")
                verify_inclusion(_leaf_hash(leaf), one["i"], one["size"], proof, head[1])
            except ProofInvalid:
                yield f"altered: {where} is no such entry of this log"
                continue
            told = json.loads(leaf)
            if told["kind"] == "payload.erased":
                self._erase(told["facts"])

    def _payloads(self) -> Iterator[str]:
        yield from self._later_erasures()
        accounts = self._derived.accounts()
        for row in self._lines("log/payloads.jsonl"):
            body, digest = _body(row), row["c"]
            wanted = self._wanted.pop(digest, None)
            if wanted is None:
                yield f"inserted: payload {digest}: no entry commits to it"
                continue
            told = (wanted[0], wanted[2], wanted[3]) == (len(body), row["name"], row["call"])
            if not told or _commitment(unhex(row["salt"]), body) != digest:
                yield f"payload altered: {_where(wanted)}"
            elif digest in accounts:
                self._bodies[digest] = body
        if self._manifest["payloads"]:
            for commitment, wanted in self._wanted.items():
                if commitment not in self._erased:
                    yield f"payload missing: {_where(wanted)}: gone without an entry that it was erased"

    def _tables(self) -> Iterator[str]:
        """Make every table and count anew from entries and payloads, and compare."""
        earlier: dict[str, tuple[str, bytes]] = {}
        starts = list(self._lines(EARLIER)) if EARLIER in self._zip.namelist() else []
        yield from self._proved(starts, EARLIER)
        for one in starts:
            leaf, body = json.loads(one["leaf"]), _body(one)
            if leaf["payloads"]["caller"]["c"] != one["c"] or _commitment(unhex(one["salt"]), body) != one["c"]:
                yield f"payload altered: {EARLIER}: of log index {one['i']}"
            if leaf["kind"] == "session.started":
                earlier[leaf["session"]] = (leaf["actor"], body)
        told = self._derived.close(self._bodies, earlier)
        write_policies(self._folder, self._published(), self._manifest["from"], self._manifest["to"])
        yield from differences(self._zip, self._folder)
        summary = json.loads(self._zip.read("integrity/summary.json"))
        gone = summary.pop("payloads_missing"), summary.pop("payloads_erased")
        if summary != told or self._manifest["rows"] != told["rows"]:
            yield "population: integrity/summary.json: its counts are not what the log says"
        names = Counter(name for _, _, name, _ in self._wanted.values())
        why = Counter(self._erased[one] for one in self._wanted if one in self._erased)
        if self._manifest["payloads"] and gone != (dict(names), dict(why)):
            yield "population: integrity/summary.json: not these payloads are gone"

    def _published(self) -> Iterator[Published]:
        for one in self._lines("policy/publications.jsonl"):
            yield Published(one["i"], json.loads(one["leaf"]), self._zip.read(f"policy/{one['revision']}.json"))

    def _policies(self) -> Iterator[str]:
        missing = self._governed - {""}
        for one in self._lines("policy/publications.jsonl"):
            leaf, digest, revision = one["leaf"].encode(), one["digest"], one["revision"]
            content = json.loads(leaf)
            document, salt = self._zip.read(f"policy/{revision}.json"), unhex(one["salt"])
            if _commitment(salt, document) != content["payloads"]["document"]["c"]:
                yield f"altered: policy/{revision}.json: not the document that was published"
            proof = [unhex(sibling) for sibling in one["proof"]]
            try:
                self._in_the_log(one, leaf, proof)
                named = content["policy"] == {"digest": digest, "revision": revision}
                published = named and content["kind"] == "policy.published"
            except ProofInvalid:
                published = False
            if not published:
                yield f"altered: policy {revision}: its publication is no entry of this log"
            missing.discard(digest)
        for digest in sorted(missing):
            yield f"policy missing: {digest}: entries name it, the bundle does not have it"


def _where(wanted: Wanted) -> str:
    return f"log index {wanted[1]} payload {wanted[2]}"


def _body(row: dict[str, Any]) -> bytes:
    return row["text"].encode() if "text" in row else unbase64(row["base64"])


def _leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def _commitment(salt: bytes, body: bytes) -> str:
    return hashlib.sha256(_COMMITMENT_TAG + salt + body).hexdigest()


def _digest(bundle: zipfile.ZipFile, name: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with bundle.open(name) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
