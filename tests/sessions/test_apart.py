"""A large bundle is verified by two processes: they find what one finds, and one that dies is no sound bundle."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pytest

from sessions.evidence.gwverify import verification
from sessions.evidence.gwverify.apart import Apart
from sessions.evidence.gwverify.notes import CannotCheck, Key
from sessions.evidence.gwverify.verification import Verification
from sessions.journal import Journal
from tests import evidence
from tests.evidence import exported, files_of, findings, signed_anew
from tests.record import Log

pytestmark = pytest.mark.promise("provable")


@pytest.fixture
def bundle(journal: Journal, log: Log, tmp_path: Path) -> Path:
    evidence.write(journal, log)
    return exported(log, tmp_path / "bundle.zip").path


def test_two_processes_find_what_one_finds(
    bundle: Path, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, files = str(log.signer.verify_key), files_of(bundle)
    calls = files["population/calls.csv"]
    files = signed_anew({**files, "population/calls.csv": calls.replace(b"orders-db", b"orders_db", 1)}, log.signer)
    alone = findings(files, key)
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(forged, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    monkeypatch.setattr(verification, "APART_FROM", 0)

    with zipfile.ZipFile(bundle) as sound, zipfile.ZipFile(forged) as altered:
        assert list(Verification(sound, Key(key)).findings()) == []
        assert list(Verification(altered, Key(key)).findings()) == alone != []


def test_what_the_other_process_cannot_do_is_told(tmp_path: Path) -> None:
    told = ("2026-01-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z", "")
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("log/entries.jsonl", '{"i": 0, "leaf": "{}"}\n')

    with pytest.raises(ValueError, match="KeyError"):
        Apart(str(broken), tmp_path / "one", *told).accounts()

    killed = Apart(str(broken), tmp_path / "two", *told)
    assert killed._process.pid
    os.kill(killed._process.pid, 9)
    with pytest.raises(CannotCheck, match="has ended"):
        killed.accounts()


def test_nothing_has_a_second_spelling(bundle: Path, log: Log) -> None:
    key, files = str(log.signer.verify_key), files_of(bundle)
    assert findings(files, key) == []
    places = {"policy/publications.jsonl": ("salt", "digest"), "log/payloads.jsonl": ("salt", "c", "base64")}
    for name, members in places.items():
        for member in members:
            spelled = re.compile(rb'"%s": "([^"]*[a-f][^"]*)"' % member.encode())
            found = spelled.search(files[name])
            assert found is not None, (name, member)
            other = found[1][:-1] + b"B" if member == "base64" else found[1].upper()
            changed = files[name].replace(found[1], other, 1)

            assert findings(signed_anew({**files, name: changed}, log.signer), key), (name, member)


def test_the_size_that_a_proof_is_for_is_that_of_the_bundle(bundle: Path, log: Log) -> None:
    key, files, name = str(log.signer.verify_key), files_of(bundle), "policy/publications.jsonl"
    size = re.search(rb'"size": (\d+)', files[name])
    assert size is not None
    for other in range(int(size[1]) - 3, int(size[1]) + 4):
        changed = files[name].replace(size[0], b'"size": %d' % other)

        found = findings(signed_anew({**files, name: changed}, log.signer), key)

        assert bool(found) == (other != int(size[1])), other
