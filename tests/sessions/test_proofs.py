"""Proofs of the log in published formats, against published vectors, and out of a live log."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from sessions import proving, tlogproof, tree
from sessions.checkpoint import Signer, VerifyKey
from sessions.evidence.gwverify.notes import Key
from sessions.models import Entry, LogIndex
from tests.record import Log, running
from tests.sessions.test_tree import VECTOR_LEAVES, VECTOR_ROOTS

pytestmark = pytest.mark.promise("provable")

HASHES = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in VECTOR_LEAVES]
# The proofs that implementations of Certificate Transparency test themselves with, over the same eight leaves.
A, B, C = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
D = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
E = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = [
    (0, 8, [A, B, C]),
    (5, 8, [E, D, VECTOR_ROOTS[3]]),
    (2, 3, [VECTOR_ROOTS[1]]),
    (1, 5, [VECTOR_ROOTS[0], B, E]),
]
CONSISTENCY = [(1, 8, [A, B, C]), (6, 8, [F, D, VECTOR_ROOTS[3]]), (2, 5, [B, E]), (1, 1, [])]
# The example of Go's package golang.org/x/mod/sumdb/note.
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NOTE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE_SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, expected: list[str]) -> None:
    made = tree.Subtrees(HASHES[:size]).inclusion_proof(index)
    assert [one.hex() for one in made] == [one.hex() for one in tree.inclusion_proof(HASHES[:size], index)] == expected
    tree.verify_inclusion(HASHES[index], index, size, made, bytes.fromhex(VECTOR_ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new", "expected"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, expected: list[str]) -> None:
    made = tree.Subtrees(HASHES[:new]).consistency_proof(old)
    assert [one.hex() for one in made] == [one.hex() for one in tree.consistency_proof(HASHES[:new], old)] == expected
    roots = bytes.fromhex(VECTOR_ROOTS[old - 1]), bytes.fromhex(VECTOR_ROOTS[new - 1])
    tree.verify_consistency(old, roots[0], new, roots[1], made)


def test_both_ways_to_a_consistency_proof_agree_at_every_size() -> None:
    leaves = [hashlib.sha256(bytes([n])).digest() for n in range(40)]
    for new in range(1, 41):
        subtrees = tree.Subtrees(leaves[:new])
        for old in range(1, new + 1):
            assert subtrees.consistency_proof(old) == tree.consistency_proof(leaves[:new], old)
        with pytest.raises(tree.ProofInvalid):
            subtrees.consistency_proof(new + 1)


def test_notes_are_those_of_go() -> None:
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(NOTE_PRIVATE)[1:])
    signer = Signer("PeterNeumann", private)
    note = f"{NOTE_TEXT}\n{NOTE_SIGNATURE}"

    assert str(signer.verify_key) == str(VerifyKey.parse(NOTE_KEY)) == NOTE_KEY
    assert signer.note(NOTE_TEXT) == note
    assert Key(NOTE_KEY).signed(note) == NOTE_TEXT.split("\n")[:-1]
    assert Key(NOTE_KEY).signed(note.replace("answer", "question")) is None


EXAMPLE = """\
c2sp.org/tlog-proof@v1
extra YWdl
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog hI2DJw==
"""


def test_the_example_of_the_specification_is_read() -> None:
    proof = tlogproof.read(EXAMPLE)
    assert (proof.place, len(proof.hashes), proof.note.split("\n")[1]) == (73894, 2, "109482")
    assert tlogproof.write(*proof) == EXAMPLE.replace("extra YWdl\n", "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 73894", "index 073894"),
        ("index 73894\n", ""),
        ("PlQ=", "PlR="),
        ("PlQ=", ""),
        ("\n\n", "\n"),
    ],
)
def test_what_is_no_proof_is_refused(old: str, new: str) -> None:
    with pytest.raises(tree.ProofInvalid):
        tlogproof.read(EXAMPLE.replace(old, new))


def test_each_entry_of_a_live_log_is_proved_by_its_text_alone(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as journal:
        from sessions.events import Event

        journal.append_now(*(Event(kind="call.message", call_id=str(n % 2)) for n in range(9)))
        log.sequencer.run_once()
        first = log.signer.verify_key.open(proving.newest())
        journal.append_now(Event(kind="call.message", call_id="late"))
        with pytest.raises(CommandError, match="waits"):
            call_command("prove", call="late")
        log.sequencer.run_once()
    for place in LogIndex.objects.filter(log_index__lt=first.size).select_related("entry"):
        proof = tlogproof.read(proving.entry(bytes(place.entry.leaf_hash)))
        head = log.signer.verify_key.open(proof.note)
        assert proof.place == place.log_index
        tree.verify_inclusion(bytes(place.entry.leaf_hash), proof.place, head.size, proof.hashes, head.root)
    grown = proving.consistency(first.size)
    head = log.signer.verify_key.open(grown.note)
    assert (grown.old, grown.new) == (first.size, head.size) == (10, 11)
    tree.verify_consistency(first.size, first.root, head.size, head.root, grown.hashes)

    call_command("prove", call="1")
    printed = capsys.readouterr().out
    assert printed.count(tlogproof.HEAD) == Entry.objects.filter(call_id="1").count() == 4
    call_command("prove", old=first.size)
    assert f"\n\n{grown.note}" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no tree of 99 entries"):
        call_command("prove", old=99)
    with pytest.raises(CommandError, match="no entry has this hash"):
        call_command("prove", entry="00" * 32)
