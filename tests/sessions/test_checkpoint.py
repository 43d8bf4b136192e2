"""Checkpoints are C2SP notes that other transparency-log tools can read."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sessions import logkey
from sessions.anchors import AnchorBroken, FileAnchor
from sessions.checkpoint import Checkpoint, CheckpointInvalid, Signer, VerifyKey

ROOT = bytes(range(32))
SIGNER = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


def test_a_note_has_the_lines_and_the_key_id_of_the_specification() -> None:
    public = SIGNER.verify_key.public
    lines = SIGNER.sign(42, ROOT).split("\n")
    assert lines[:4] == ["example.com/log", "42", base64.b64encode(ROOT).decode(), ""]
    dash, name, encoded = lines[4].split(" ")
    assert (dash, name, lines[5:]) == ("—", "example.com/log", [""])
    material = base64.b64decode(encoded)
    assert material[:4] == hashlib.sha256(b"example.com/log\n\x01" + public).digest()[:4]
    signed = f"example.com/log\n42\n{base64.b64encode(ROOT).decode()}\n".encode()
    Ed25519PublicKey.from_public_bytes(public).verify(material[4:], signed)


def test_the_verifier_key_of_the_go_checksum_database_is_read() -> None:
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = VerifyKey.parse(text)
    assert (key.name, str(key)) == ("sum.golang.org", text)


def test_a_note_opens_only_under_its_own_key_and_unchanged() -> None:
    note = SIGNER.sign(42, ROOT)
    assert SIGNER.verify_key.open(note) == Checkpoint("example.com/log", 42, ROOT)
    other = Signer("example.com/log", Ed25519PrivateKey.generate()).verify_key
    renamed = VerifyKey("example.com/other", SIGNER.verify_key.public)
    for key in (other, renamed):
        with pytest.raises(CheckpointInvalid):
            key.open(note)
    for at in range(len(note)):
        with pytest.raises(CheckpointInvalid):
            SIGNER.verify_key.open(note[:at] + ("x" if note[at] != "x" else "y") + note[at + 1 :])


def test_signatures_of_witnesses_are_passed_over() -> None:
    note = SIGNER.sign(42, ROOT) + f"— witness.example {base64.b64encode(b'idid' + bytes(64)).decode()}\n"
    assert SIGNER.verify_key.open(note).size == 42


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "a+00000000+AAAA", "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"],
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointInvalid):
        VerifyKey.parse(text)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.key"
    signer = logkey.ensure(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert logkey.ensure(path).verify_key == signer.verify_key
    assert logkey.read_public(logkey.public_path(path)) == signer.verify_key
    assert logkey.ensure(tmp_path / "other.key", "chosen").name == "chosen"


def test_what_is_no_key_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    path.write_text("a secret that is no key")
    for read in (logkey.load, logkey.read_public, logkey.ensure):
        with pytest.raises(logkey.KeyUnusable) as refused:
            read(path)
        assert "secret" not in str(refused.value)
    with pytest.raises(logkey.KeyUnusable):
        logkey.load(tmp_path / "missing.key")


def test_the_file_anchor_keeps_every_newer_checkpoint_once(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor" / "checkpoints.txt")
    assert (anchor.latest_size(), anchor.length()) == (0, 0)
    notes = [SIGNER.sign(size, ROOT) for size in (1, 2, 300)]
    for note in (*notes, notes[0], notes[2]):
        anchor.publish(note)
    assert list(anchor.notes(anchor.length())) == notes
    assert anchor.latest_size() == 300


@pytest.mark.parametrize("cut", [1, 2, 60, 130, 141])
def test_a_note_torn_by_a_crash_is_cut_off_and_comes_again(tmp_path: Path, cut: int) -> None:
    anchor = FileAnchor(tmp_path / "checkpoints.txt")
    notes = [SIGNER.sign(size, ROOT) for size in (1, 2)]
    for note in notes:
        anchor.publish(note)
    anchor.path.write_bytes(anchor.path.read_bytes()[:-cut])
    assert anchor.latest_size() == 1
    anchor.publish(notes[1])
    assert list(anchor.notes(anchor.length())) == notes


def test_an_anchor_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoints.txt").mkdir()
    anchor = FileAnchor(tmp_path / "checkpoints.txt")
    with pytest.raises(AnchorBroken):
        anchor.publish(SIGNER.sign(1, ROOT))
    with pytest.raises(AnchorBroken):
        anchor.latest_size()
