"""Whatever is changed in the record's tables is found and named."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection

from sessions import leaf as leaves
from sessions import logkey
from sessions.events import Event, Payload
from sessions.journal import Journal
from sessions.models import Entry, LogIndex
from sessions.models import Payload as PayloadRow
from tests.record import Log, running, tamper


@pytest.fixture
def sound(journal: Journal, log: Log) -> Log:
    """A record of eleven entries under three checkpoints, with two payloads."""
    for batch in range(3):
        journal.append_now(*(Event(kind="call.message", call_id=f"{batch}-{n}", tool="push") for n in range(3)))
        if batch < 2:
            journal.append_now(Event(kind="call.result", call_id=f"{batch}", payloads={"answer": Payload(b"masked")}))
        log.sequencer.run_once()
    assert (LogIndex.objects.count(), PayloadRow.objects.count()) == (12, 2)
    assert log.verify() == []
    return log


def found(log: Log) -> set[str]:
    return {finding.kind for finding in log.verify()}


def entry(log_index: int) -> int:
    return LogIndex.objects.get(log_index=log_index).entry_id


def test_a_changed_byte_in_a_leaf_is_found_where_it_is(sound: Log) -> None:
    row = Entry.objects.get(id=entry(5))
    changed = bytes(row.leaf).replace(b'"tool":"push"', b'"tool":"pull"')
    tamper("UPDATE mcp_sessions_entry SET leaf = %s WHERE id = %s", [changed, row.pk])
    findings = sound.verify()
    assert {finding.kind for finding in findings} == {"altered", "projection changed"}
    assert all("log index 5 " in finding.where for finding in findings)


def test_a_leaf_rewritten_together_with_its_hash_and_columns_is_found(sound: Log) -> None:
    row = Entry.objects.get(id=entry(5))
    changed = bytes(row.leaf).replace(b'"tool":"push"', b'"tool":"pull"')
    tamper(
        "UPDATE mcp_sessions_entry SET leaf = %s, leaf_hash = %s, tool = 'pull' WHERE id = %s",
        [changed, leaves.leaf_hash(changed), row.pk],
    )
    assert found(sound) == {"altered"}


@pytest.mark.parametrize("column", ["kind", "call_id", "session", "connection", "tool", "actor"])
def test_a_changed_projection_is_found(sound: Log, column: str) -> None:
    tamper(f"UPDATE mcp_sessions_entry SET {column} = 'other' WHERE id = %s", [entry(3)])
    assert [str(finding) for finding in sound.verify()] == [
        f"projection changed: log index 3 (entry {entry(3)}): column {column} is not what the leaf says"
    ]


def test_a_changed_time_is_found(sound: Log) -> None:
    tamper("UPDATE mcp_sessions_entry SET ts = '2020-01-01 00:00:00' WHERE id = %s", [entry(3)])
    assert found(sound) == {"projection changed"}
    if connection.vendor == "sqlite":
        tamper("UPDATE mcp_sessions_entry SET ts = 'no moment' WHERE id = %s", [entry(3)])
        assert found(sound) == {"projection changed"}


def test_a_leaf_of_a_moment_that_does_not_exist_is_found(sound: Log) -> None:
    row = Entry.objects.get(id=entry(5))
    changed = re.sub(rb'"ts":"(\d{4})-\d\d', rb'"ts":"\1-13', bytes(row.leaf))
    tamper("UPDATE mcp_sessions_entry SET leaf = %s WHERE id = %s", [changed, row.pk])
    assert "altered" in found(sound)


def test_a_changed_leaf_hash_is_found(sound: Log) -> None:
    tamper("UPDATE mcp_sessions_entry SET leaf_hash = %s WHERE id = %s", [bytes(32), entry(3)])
    assert "altered" in found(sound)
    tamper("UPDATE mcp_sessions_entry SET leaf_hash = %s WHERE id = %s", [b"short", entry(3)])
    assert "altered" in found(sound)


def test_a_deleted_entry_is_found(sound: Log) -> None:
    tamper("DELETE FROM mcp_sessions_entry WHERE id = %s", [entry(4)])
    assert "deleted" in found(sound)


def test_an_entry_deleted_with_its_place_is_found(sound: Log) -> None:
    gone = entry(4)
    tamper("DELETE FROM mcp_sessions_entry WHERE id = %s", [gone])
    tamper("DELETE FROM mcp_sessions_logindex WHERE entry_id = %s", [gone])
    assert "deleted: log index 4: no place for number 4" in [str(finding) for finding in sound.verify()]


def test_an_entry_deleted_with_all_later_places_moved_up_is_found(sound: Log) -> None:
    gone = entry(4)
    tamper("DELETE FROM mcp_sessions_entry WHERE id = %s", [gone])
    tamper("DELETE FROM mcp_sessions_logindex WHERE entry_id = %s", [gone])
    for index in range(5, 12):
        tamper("UPDATE mcp_sessions_logindex SET log_index = %s WHERE log_index = %s", [index - 1, index])
    # "inserted" is the payload that the entry has left behind.
    assert found(sound) == {"deleted", "altered", "truncated", "inserted"}


def test_an_entry_inserted_without_a_place_is_found(sound: Log) -> None:
    for _ in range(2):
        sound.sequencer.run_once()
    copy = Entry.objects.get(id=entry(3))
    forged = bytes(copy.leaf).replace(b'"push"', b'"pull"')
    Entry.objects.create(
        leaf=forged, leaf_hash=leaves.leaf_hash(forged), kind=copy.kind, ts=copy.ts, call_id=copy.call_id,
        session="", connection="", tool="pull", actor="",
    )  # fmt: skip
    assert found(sound) == {"inserted", "entry without index"}
    sound.sequencer.run_once()
    assert found(sound) == {"inserted"}


def test_an_entry_inserted_with_a_place_is_found(sound: Log) -> None:
    forged = bytes(Entry.objects.get(id=entry(3)).leaf).replace(b'"n":3', b'"n":12')
    row = Entry.objects.create(
        leaf=forged, leaf_hash=leaves.leaf_hash(forged), kind="call.message",
        ts=Entry.objects.get(id=entry(3)).ts, call_id="0-2", session="", connection="", tool="push", actor="",
    )  # fmt: skip
    LogIndex.objects.create(log_index=12, entry=row)
    assert found(sound) == {"checkpoint missing"}


def test_an_entry_whose_place_was_deleted_is_found(sound: Log) -> None:
    lost = entry(6)
    tamper("DELETE FROM mcp_sessions_logindex WHERE log_index = 6")
    findings = [str(finding) for finding in sound.verify()]
    assert f"entry without index: entry {lost}: inserted, or its place in the log was deleted" in findings


def test_two_entries_swapped_are_found(sound: Log) -> None:
    first, second = entry(2), entry(3)
    for index, pk in ((2, -1), (3, first), (2, second)):
        tamper("UPDATE mcp_sessions_logindex SET entry_id = %s WHERE log_index = %s", [pk, index])
    assert found(sound) == {"reordered", "altered"}


def test_a_cut_tail_is_found_by_the_checkpoint(sound: Log) -> None:
    tamper("DELETE FROM mcp_sessions_entry WHERE id >= %s", [entry(9)])
    tamper("DELETE FROM mcp_sessions_logindex WHERE log_index >= 9")
    assert found(sound) == {"truncated"}


def test_a_tail_cut_with_its_checkpoints_is_found_by_the_anchor_alone(sound: Log) -> None:
    tamper("DELETE FROM mcp_sessions_entry WHERE id >= %s", [entry(9)])
    tamper("DELETE FROM mcp_sessions_logindex WHERE log_index >= 9")
    tamper("DELETE FROM mcp_sessions_checkpoint WHERE size > 9")
    assert sound.verify(anchored=False) == []
    findings = [str(finding) for finding in sound.verify()]
    assert findings == ["truncated: anchor ahead of database, checkpoint 12: the database ends after 9 entries"]


def test_a_deleted_checkpoint_is_found(sound: Log) -> None:
    tamper("DELETE FROM mcp_sessions_checkpoint WHERE size = 5")
    assert [str(finding) for finding in sound.verify()] == [
        "deleted: checkpoint 5: the anchor holds it, the database does not"
    ]
    tamper("DELETE FROM mcp_sessions_checkpoint WHERE size = 12")
    assert found(sound) == {"deleted", "checkpoint missing"}


def test_a_changed_checkpoint_is_found(sound: Log) -> None:
    tamper("UPDATE mcp_sessions_checkpoint SET root = %s WHERE size = 5", [bytes(32)])
    assert "checkpoint altered" in found(sound)


def test_a_changed_note_is_found(sound: Log) -> None:
    tamper("UPDATE mcp_sessions_checkpoint SET note = replace(note, '5', '6') WHERE size = 5")
    assert "checkpoint signature" in found(sound)


def test_a_changed_anchor_is_found(sound: Log) -> None:
    text = sound.anchor.path.read_text()
    sound.anchor.path.write_text(text.replace("\n9\n", "\n8\n"))
    assert found(sound) == {"anchor"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("body", b"nothing"), ("body", b"masker"), ("salt", bytes(32)), ("salt", b""), ("name", "request"),
     ("call_id", "other"), ("leaf_hash", bytes(32))],
)  # fmt: skip
def test_a_changed_payload_is_found(sound: Log, column: str, value: object) -> None:
    commitment = bytes(PayloadRow.objects.order_by("call_id").first().commitment)  # type: ignore[union-attr]  # two
    tamper(f"UPDATE mcp_sessions_payload SET {column} = %s WHERE commitment = %s", [value, commitment])
    assert found(sound) == {"payload altered"}


def test_a_payload_that_nobody_commits_to_is_found(sound: Log) -> None:
    row = PayloadRow.objects.order_by("call_id").first()
    assert row is not None
    PayloadRow.objects.create(
        commitment=bytes(32),
        leaf_hash=bytes(row.leaf_hash),
        name="answer",
        call_id="0",
        salt=bytes(32),
        body=b"",
    )
    assert found(sound) == {"inserted"}


def test_a_missing_payload_is_found_unless_an_entry_says_it_was_erased(journal: Journal, sound: Log) -> None:
    row = PayloadRow.objects.get(call_id="1")
    commitment = bytes(row.commitment).hex()
    row.delete()
    assert found(sound) == {"payload missing"}
    journal.append_now(Event(kind="payload.erased", facts={"commitments": [commitment]}))
    assert found(sound) == set()
    sound.sequencer.run_once()
    assert found(sound) == set()


def test_a_writer_out_of_nowhere_is_found(sound: Log) -> None:
    with running(origin="somewhere-else"):
        pass
    sound.sequencer.run_once()
    assert found(sound) == {"inserted"}


def test_entries_of_a_writer_after_its_end_are_found(journal: Journal, sound: Log) -> None:
    journal.append_now(Event(kind="process.stopped"), Event(kind="call.message"))
    sound.sequencer.run_once()
    assert found(sound) == {"inserted"}


def test_entries_that_wait_for_their_place_are_sound(journal: Journal, sound: Log) -> None:
    journal.append_now(Event(kind="call.message"))
    assert sound.verify() == []


# The command.


def verify(tmp_path: Path, log: Log, **options: str) -> SimpleNamespace:
    key = tmp_path / "log.pub"
    key.write_text(str(log.signer.verify_key))
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify", stdout=out, stderr=err, **{"key": str(key), "anchor": str(log.anchor.path), **options})
    return SimpleNamespace(code=ended.value.code, lines=out.getvalue().splitlines(), error=err.getvalue().splitlines())


@pytest.mark.promise("provable")
def test_the_command_says_that_a_sound_record_is_sound(journal: Journal, sound: Log, tmp_path: Path) -> None:
    result = verify(tmp_path, sound)
    assert result.code == 0
    assert len(result.lines) == 1
    assert result.lines[0].startswith("verified 12 entries, 3 checkpoints, head ")
    journal.append_now(Event(kind="call.message"))
    result = verify(tmp_path, sound)
    assert (result.code, result.lines[0]) == (0, "1 entries not yet under a checkpoint")


@pytest.mark.promise("provable")
def test_the_command_names_what_was_altered(sound: Log, tmp_path: Path) -> None:
    tamper("UPDATE mcp_sessions_entry SET tool = 'other' WHERE id = %s", [entry(3)])
    result = verify(tmp_path, sound)
    assert result.code == 1
    assert result.lines[0].startswith("projection changed: log index 3 ")
    assert result.lines[-1].startswith("verified 12 entries")


def test_the_command_says_what_it_cannot_check(sound: Log, tmp_path: Path) -> None:
    for options in ({"key": str(tmp_path / "none")}, {"anchor": str(tmp_path / "none")}):
        result = verify(tmp_path, sound, **options)
        assert (result.code, len(result.error)) == (2, 1)
        assert result.error[0].startswith("cannot check: ")


def test_a_key_of_another_log_does_not_verify_this_one(sound: Log, tmp_path: Path) -> None:
    other = logkey.ensure(tmp_path / "other.key")
    (tmp_path / "other.pub").write_text(str(other.verify_key))
    result = verify(tmp_path, sound, key=str(tmp_path / "other.pub"))
    assert result.code == 1
