"""An evidence bundle: what it holds, that it verifies by the standard library alone, and that changes are found."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sessions.checkpoint import Signer
from sessions.evidence.export import Wanted, moment
from sessions.evidence.gwverify import command
from sessions.evidence.gwverify.ed25519 import signature_holds
from sessions.evidence.gwverify.populations import POPULATIONS, population_of
from sessions.evidence.gwverify.verification import MANIFEST, NOTE
from sessions.evidence.period import NotSealed
from sessions.journal import Journal
from sessions.models import Entry
from tests import evidence
from tests.evidence import CALLER, VOTER, Files, about, exported, files_of, findings, lines, signed_anew
from tests.record import ORIGIN, Log

pytestmark = pytest.mark.promise("provable")

SEED = 20261128


@pytest.fixture
def bundle(journal: Journal, log: Log, tmp_path: Path) -> Path:
    evidence.write(journal, log)
    return exported(log, tmp_path / "bundle.zip").path


def rows(files: Files, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files[name].decode().splitlines()))


def test_an_untouched_bundle_is_sound_and_says_who_did_what(bundle: Path, log: Log) -> None:
    files = files_of(bundle)

    assert findings(files, str(log.signer.verify_key), "".join(log.anchor.notes(log.anchor.length())), deep=True) == []
    calls = {row["call"]: row for row in rows(files, "population/calls.csv")}
    assert {call: row["outcome"] for call, row in calls.items()} == {
        "allowed": "call.result", "blocked": "call.blocked", "held": "call.unknown", "open": "open",
    }  # fmt: skip
    (request,) = rows(files, "population/approvals.csv")
    assert (request["requester"], request["voters"], request["outcome"]) == (CALLER, VOTER, "approved")
    assert (request["same_call"], request["requester_voted"]) == ("yes", "no")
    assert [row["kind"] for row in rows(files, "population/incidents.csv")] == ["call.unknown"]


def test_a_name_that_is_a_formula_is_none_in_a_spreadsheet(bundle: Path) -> None:
    named = {row["pseudonym"]: row["name"] for row in rows(files_of(bundle), "access/people.csv")}

    assert named == {CALLER: "'=dave", VOTER: "alice"}


def test_every_entry_of_the_period_is_a_row_of_one_table(bundle: Path) -> None:
    files = files_of(bundle)
    entries = {json.loads(line)["i"] for line in files["log/entries.jsonl"].splitlines()}
    told = [int(row["log_index"]) for name in POPULATIONS for row in rows(files, f"population/{name}.csv")]

    assert sorted(told) == sorted(entries)


def test_the_same_period_gives_the_same_bytes(bundle: Path, log: Log, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    closed = Wanted(now - timedelta(days=1), now)

    one, other = (exported(log, tmp_path / name, closed).path.read_bytes() for name in ("one.zip", "two.zip"))

    assert one == other


def test_a_period_in_the_middle_begins_and_ends_at_checkpoints(bundle: Path, log: Log, tmp_path: Path) -> None:
    entries = [json.loads(json.loads(line)["leaf"]) for line in files_of(bundle)["log/entries.jsonl"].splitlines()]
    begun = next(entry for entry in entries if entry["kind"] == "call.intent")

    part = exported(log, tmp_path / "part.zip", Wanted(moment(begun["ts"]), datetime.now(UTC)))

    assert 0 < part.period.start <= entries.index(begun)
    assert findings(files_of(part.path), str(log.signer.verify_key)) == []
    assert part.rows["calls"] == 4
    # The policy and the caller were there before: their proof and name come along.
    files = files_of(part.path)
    assert files["policy/1.json"] == evidence.DOCUMENT
    assert CALLER in {row["pseudonym"] for row in rows(files, "access/people.csv")}


@pytest.mark.parametrize("ago", [timedelta(days=9), timedelta(seconds=-9)])
def test_an_empty_period_is_a_bundle_too(bundle: Path, log: Log, tmp_path: Path, ago: timedelta) -> None:
    begin = datetime.now(UTC) - ago

    empty = exported(log, tmp_path / "empty.zip", Wanted(begin, begin + timedelta(seconds=1)))

    assert findings(files_of(empty.path), str(log.signer.verify_key)) == []
    assert set(empty.rows.values()) == {0}


def test_a_bundle_without_payloads_is_sound_and_holds_none(bundle: Path, log: Log, tmp_path: Path) -> None:
    wanted = evidence.day()

    bare = exported(log, tmp_path / "bare.zip", Wanted(wanted.since, wanted.until, payloads=False))

    files = files_of(bare.path)
    kept = [json.loads(line)["name"] for line in files["log/payloads.jsonl"].splitlines()]
    assert set(kept) == {"caller", "voter"}, "who is who stands in a table, and is proved"
    assert findings(files, str(log.signer.verify_key)) == []


def test_who_called_in_a_session_that_began_before_is_proved_too(bundle: Path, log: Log, tmp_path: Path) -> None:
    since = Entry.objects.get(kind="call.blocked").ts
    key = str(log.signer.verify_key)

    files = files_of(exported(log, tmp_path / "later.zip", Wanted(since, since + timedelta(days=1))).path)

    assert findings(files, key) == []
    (before,) = (row for row in rows(files, "access/people.csv") if row["pseudonym"] == CALLER)
    assert (before["name"], before["known_from"]) == ("'=dave", "session.started, before this bundle")
    renamed = {name: content.replace(b"=dave", b"=ivan") for name, content in files.items()}
    assert any(
        "payload altered: access/earlier.jsonl" in one for one in findings(signed_anew(renamed, log.signer), key)
    )


def test_entries_without_a_place_are_never_left_out_in_silence(bundle: Path, journal: Journal, log: Log) -> None:
    journal.append_now(about("call.blocked", call_id="late"))

    with pytest.raises(NotSealed, match="1 entries of the period have no place in the log yet"):
        exported(log, bundle.with_name("late.zip"))


def test_a_period_that_ends_before_it_begins_is_refused(log: Log, tmp_path: Path) -> None:
    now = datetime.now(UTC)

    with pytest.raises(ValueError, match="ends before it begins"):
        exported(log, tmp_path / "never.zip", Wanted(now, now))
    with pytest.raises(ValueError, match="needs its offset"):
        moment("2026-01-01T10:00:00")


def test_another_key_signed_nothing_here(bundle: Path) -> None:
    other = Signer(ORIGIN, Ed25519PrivateKey.generate())

    assert findings(files_of(bundle), str(other.verify_key)) == [f"altered: {MANIFEST} is not what the key signed"]


def mutated(files: Files, draw: random.Random) -> tuple[Files, str]:
    """Return the files with one change, and what it was."""
    name, kind = draw.choice(sorted(files)), draw.choice(["flip", "cut", "drop", "insert", "append"])
    changed, content = dict(files), files[name]
    at = draw.randrange(len(content)) if content else 0
    if kind == "flip" and content:
        changed[name] = content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    elif kind == "cut" and content:
        changed[name] = content[:at]
    elif kind == "drop":
        del changed[name]
    elif kind == "insert":
        changed["population/more.csv"] = b"log_index\n"
    else:
        changed[name] = content + b"\n"
    return changed, f"{kind} at {at} of {name}"


@pytest.mark.parametrize("number_of_changes", [250, pytest.param(10_000, marks=pytest.mark.chaos)])
def test_every_random_change_of_any_file_is_found(bundle: Path, log: Log, number_of_changes: int) -> None:
    files, key = files_of(bundle), str(log.signer.verify_key)
    draw = random.Random(SEED)  # noqa: S311 - no secret, and the same in every run
    for number in range(number_of_changes):
        changed, what = mutated(files, draw)

        assert findings(changed, key), f"{what} was not found (draw {number} of {SEED})"


# What of a bundle is proved by the log, and not by the signature on the manifest alone.
PROVED = ("population/", "access/", "availability/", "integrity/", "log/entries", "log/payloads", "policy/")


def _says_the_same(name: str, one: bytes, other: bytes) -> bool:
    """Blanks between the members of JSON say nothing."""
    if name.endswith(".csv"):
        return one == other
    try:
        if name.endswith(".jsonl"):
            return [json.loads(line) for line in one.splitlines()] == [json.loads(line) for line in other.splitlines()]
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("number_of_changes", [150, pytest.param(10_000, marks=pytest.mark.chaos)])
def test_every_random_change_of_what_is_proved_is_found_even_when_it_is_signed_anew(
    bundle: Path, log: Log, number_of_changes: int
) -> None:
    files, key = files_of(bundle), str(log.signer.verify_key)
    proved = {name: content for name, content in files.items() if name.startswith(PROVED) and content}
    draw, tried = random.Random(SEED), 0  # noqa: S311 - no secret, and the same in every run
    while tried < number_of_changes:
        changed, what = mutated(proved, draw)
        name = next((one for one in proved if changed.get(one) != proved[one]), "")
        if not name or _says_the_same(name, proved[name], changed.get(name, b"")):
            continue
        tried += 1
        forged = {**{one: content for one, content in files.items() if one not in proved}, **changed}
        assert findings(signed_anew(forged, log.signer), key), f"{what} was not found"


def _cell(files: Files) -> None:
    files["population/calls.csv"] = files["population/calls.csv"].replace(b"orders-db", b"orders_db", 1)


def _person(files: Files) -> None:
    files["access/people.csv"] = files["access/people.csv"].replace(b"alice", b"grace")


def _count(files: Files) -> None:
    files["integrity/summary.json"] = files["integrity/summary.json"].replace(b'"calls": 4', b'"calls": 3')


def _entries(change: Callable[[list[Any]], None]) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        files["log/entries.jsonl"] = lines(files["log/entries.jsonl"], change)

    return apply


def _leaf(change: dict[str, Any], kind: str) -> Callable[[list[Any]], None]:
    def apply(found: list[Any]) -> None:
        row = next(row for row in found if json.loads(row["leaf"])["kind"] == kind)
        leaf = json.loads(row["leaf"])
        leaf["facts"] |= change
        row["leaf"] = json.dumps(leaf, sort_keys=True, separators=(",", ":"))

    return apply


def _payload(files: Files) -> None:
    files["log/payloads.jsonl"] = files["log/payloads.jsonl"].replace(b"select", b"delete")


def _payload_gone(files: Files) -> None:
    files["log/payloads.jsonl"] = lines(files["log/payloads.jsonl"], lambda found: found.pop())


def _row_gone(files: Files) -> None:
    files["population/votes.csv"] = b"\n".join(files["population/votes.csv"].splitlines()[:1])


def _call_gone(files: Files) -> None:
    files["population/calls.csv"] = b"\r\n".join(files["population/calls.csv"].splitlines()[:-1]) + b"\r\n"


def _policy(files: Files) -> None:
    files["policy/1.json"] = b'{"rules":["allow all"]}'


def _policy_gone(files: Files) -> None:
    files["policy/publications.jsonl"] = b""


def _cut_checkpoints(files: Files) -> None:
    files["log/checkpoints.txt"] = b""


# What somebody who holds the log's key could do to a bundle, and how it shows all the same.
FORGERIES: dict[str, tuple[Callable[[Files], None], str]] = {
    "a fact": (_entries(_leaf({"decision": "deny"}, "approval.voted")), "do not give its root"),
    "another call": (_entries(_leaf({"call": "d2"}, "call.intent")), "do not give its root"),
    "what ran": (_entries(_leaf({"call": "d2"}, "approval.approved")), "contradiction"),
    "an entry dropped": (_entries(lambda found: found.pop(3)), "deleted: log index 3"),
    "two swapped": (_entries(lambda found: found.insert(2, found.pop(4))), "deleted: log index"),
    "the end cut": (_entries(lambda found: found.pop()), "truncated"),
    "a payload": (_payload, "payload altered"),
    "a payload dropped": (_payload_gone, "payload missing"),
    "a row dropped": (_row_gone, "population/votes.csv: the row"),
    "a call dropped": (_call_gone, "population/calls.csv: the row"),
    "a cell": (_cell, "population/calls.csv: the row"),
    "a name": (_person, "access/people.csv: the row"),
    "a count": (_count, "integrity/summary.json"),
    "a policy": (_policy, "altered: policy/1.json"),
    "no policy": (_policy_gone, "policy missing"),
    "no checkpoints": (_cut_checkpoints, "nothing signed covers the entries"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_even_who_signs_a_changed_bundle_anew_is_found(bundle: Path, log: Log, name: str) -> None:
    forge, told = FORGERIES[name]
    files = files_of(bundle)
    forge(files)

    found = findings(signed_anew(files, log.signer), str(log.signer.verify_key))

    assert any(told in finding for finding in found), found


def test_an_anchor_that_holds_another_root_is_told(bundle: Path, log: Log) -> None:
    other = log.signer.sign(3, b"\x00" * 32)

    found = findings(files_of(bundle), str(log.signer.verify_key), other)

    assert found == ["checkpoint altered: the anchor holds another root for 3 entries"]


def test_the_verifier_in_the_bundle_runs_alone(bundle: Path, log: Log, tmp_path: Path) -> None:
    files, key = files_of(bundle), tmp_path / "log.pub"
    key.write_text(f"{log.signer.verify_key}\n")
    verifier = tmp_path / "gwverify.pyz"
    verifier.write_bytes(files["gwverify.pyz"])

    def verify(file: Path) -> subprocess.CompletedProcess[str]:
        # -I: nothing of this installation is found; -S: nor what is installed beside Python.
        command = [sys.executable, "-I", "-S", str(verifier), str(file), "--key", str(key), "--deep"]
        return subprocess.run(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)

    sound, absent = verify(bundle), verify(tmp_path / "absent.zip")
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace(b"MANIFEST.note", b"MANIFEST.nope"))
    altered = verify(bundle)

    assert (sound.returncode, absent.returncode, altered.returncode) == (0, 2, 1), sound.stdout + sound.stderr
    assert sound.stdout.startswith("verified 12 entries, 3 checkpoints, head "), sound.stdout
    assert NOTE in altered.stdout


def test_a_broken_file_is_never_a_traceback_and_never_sound(bundle: Path, log: Log, tmp_path: Path) -> None:
    key, whole = tmp_path / "log.pub", bundle.read_bytes()
    key.write_text(f"{log.signer.verify_key}\n")
    draw = random.Random(SEED)  # noqa: S311 - no secret, and the same in every run
    for _ in range(60):
        at = draw.randrange(len(whole) - 40)
        bundle.write_bytes(whole[:at] + b"\xff" * 40 + whole[at + 40 :])

        assert command.main([str(bundle), "--key", str(key)]) in {1, 2}


# RFC 8032 §7.1, tests 1 to 3: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_the_specification(public: str, message: str, signature: str) -> None:
    key, text, good = (bytes.fromhex(part) for part in (public, message, signature))

    assert signature_holds(key, text, good)
    assert not signature_holds(key, text + b"x", good)
    # s + L is the same point: only its canonical form is one.
    order = 2**252 + 27742317777372353535851937790883648493
    longer = int.from_bytes(good[32:], "little") + order
    assert not signature_holds(key, text, good[:32] + longer.to_bytes(32, "little"))
    assert not signature_holds(b"\xff" * 32, text, good)


def test_signatures_agree_with_another_implementation() -> None:
    draw = random.Random(SEED)  # noqa: S311 - no secret, and the same in every run
    for _ in range(20):
        private = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        message = draw.randbytes(draw.randrange(200))
        signature = private.sign(message)
        public = private.public_key().public_bytes_raw()
        broken = bytearray(signature)
        broken[draw.randrange(64)] ^= 1 << draw.randrange(8)

        assert signature_holds(public, message, signature)
        assert not signature_holds(public, message, bytes(broken))


def test_each_kind_has_its_table() -> None:
    assert population_of("approval.voted") == "votes"
    assert population_of("call.unknown") == "incidents"
    assert population_of("something.new") == "other"
