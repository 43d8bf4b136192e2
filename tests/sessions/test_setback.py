"""Whether the database holds what was anchored: seen without reading the whole record."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sessions.anchors import AnchorBroken, FileAnchor
from sessions.checkpoint import Signer
from sessions.events import Event
from sessions.journal import Journal
from sessions.setback import set_back
from tests.record import ORIGIN, Log, tamper

pytestmark = pytest.mark.promise("provable")


@pytest.fixture
def anchored(journal: Journal, log: Log) -> Log:
    """A record under three anchored checkpoints of 3, 5 and 7 entries."""
    for _ in range(3):
        journal.append_now(Event(kind="call.message"), Event(kind="call.message"))
        log.sequencer.run_once()
    newest = log.anchor.newest()
    assert newest is not None
    assert newest.size == 7
    return log


def cut(size: int) -> None:
    gone = "SELECT entry_id FROM mcp_sessions_logindex WHERE log_index >= %s"
    tamper(f"DELETE FROM mcp_sessions_entry WHERE id IN ({gone})", [size])
    tamper("DELETE FROM mcp_sessions_logindex WHERE log_index >= %s", [size])
    tamper("DELETE FROM mcp_sessions_checkpoint WHERE size > %s", [size])


def test_a_database_that_holds_the_newest_anchored_checkpoint_is_not_set_back(anchored: Log, journal: Journal) -> None:
    assert set_back(anchored.anchor) is None
    journal.append_now(Event(kind="call.message"))
    assert set_back(anchored.anchor) is None


def test_without_an_anchor_there_is_nothing_to_compare_with(anchored: Log) -> None:
    anchored.anchor.path.unlink()
    assert set_back(anchored.anchor) is None


def test_an_older_copy_is_told_with_both_sizes(anchored: Log) -> None:
    cut(5)
    found = set_back(anchored.anchor)
    assert found is not None
    assert (found.anchored.size, found.size) == (7, 5)
    assert "an older copy" in str(found)


def test_a_database_of_the_same_length_but_another_root_is_of_another_history(anchored: Log) -> None:
    tamper("UPDATE mcp_sessions_checkpoint SET root = %s WHERE size = 7", [bytes(32)])
    assert "another history" in str(set_back(anchored.anchor))


def test_a_database_that_grew_past_the_anchor_by_another_way_is_of_another_history(anchored: Log) -> None:
    tamper("UPDATE mcp_sessions_checkpoint SET size = 8 WHERE size = 7")
    assert "another history" in str(set_back(anchored.anchor))


def test_an_anchor_put_aside_is_kept_whole_and_the_next_begins_anew(anchored: Log, journal: Journal) -> None:
    before = anchored.anchor.path.read_text()
    cut(5)
    aside = anchored.anchor.set_aside()
    assert (aside.name, aside.read_text()) == ("checkpoints.until-7.txt", before)
    assert set_back(anchored.anchor) is None
    signer = Signer(ORIGIN, Ed25519PrivateKey.generate())
    anchored.anchor.publish(signer.sign(7, bytes(32)))
    with pytest.raises(AnchorBroken):
        anchored.anchor.set_aside()
    assert aside.read_text() == before, "no anchor is written over"
    assert FileAnchor(anchored.anchor.path).latest_size() == 7
