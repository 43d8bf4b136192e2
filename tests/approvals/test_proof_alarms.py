"""The alarm in the frame of every page: an anchor that fails or is old, and a log that is not extended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals.database import database_now
from approvals.runtime import Runtime
from sessions import installation
from sessions.anchors import FileAnchor
from sessions.evidence import standing
from sessions.models import AnchorState
from tests.held import browser, held, house, publish_policy
from tests.people import ALICE, DAVE, EVE, GRACE, Human

__all__ = ["house"]
TITLE = "The proof of the record needs a look"


@pytest.fixture(autouse=True)
def anchor(house: Runtime, settings: Any, tmp_path: Path) -> FileAnchor:
    """An anchor of this test alone, and a log that is signed when the test says so."""
    settings.ANCHOR_FILE = tmp_path / "checkpoints.txt"
    publish_policy(roles={"admin": ["platform"], "auditor": ["corp/audit"]})
    return installation.anchor()


@pytest.fixture
def sign(anchor: FileAnchor) -> Callable[[], int]:
    """Do what whoever signs the log does every second."""
    return installation.sequencer().run_once


def later(**time: float) -> datetime:
    return database_now() + timedelta(**time)


def page(human: Human, path: str = "/") -> str:
    answer = browser(human).get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_keeps_up_is_no_alarm(anchor: FileAnchor, sign: Callable[[], int]) -> None:
    held()
    assert standing.alarms(anchor, later(seconds=5)) == []
    sign()
    assert standing.alarms(anchor, later(days=30)) == []


def test_a_log_that_nobody_extends_is_one(anchor: FileAnchor) -> None:
    held()
    assert standing.alarms(anchor, later(minutes=2)) == ["the log has not been extended for more than a minute"]


def test_an_anchor_that_is_behind_is_one_and_one_that_is_about_to_follow_is_none(
    anchor: FileAnchor, sign: Callable[[], int]
) -> None:
    sign()
    behind = anchor.path.read_bytes()
    held()
    sign()
    anchor.path.write_bytes(behind)
    assert standing.alarms(anchor, later(seconds=5)) == []
    (found,) = standing.alarms(anchor, later(minutes=2))
    assert found.startswith("the anchor holds ")


def test_a_database_that_was_set_back_is_one(
    anchor: FileAnchor, sign: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign()
    monkeypatch.setattr("sessions.logstore.signed_size", lambda _: 0)
    (found,) = standing.alarms(anchor, later())
    assert found.startswith("the database holds less than its anchor: 0 of ")


def test_an_anchor_that_cannot_be_read_is_told_to_whom_it_concerns_on_every_page(anchor: FileAnchor) -> None:
    anchor.path.write_bytes(b"x" * 20_000)
    for human, path in ((GRACE, "/"), (GRACE, "/me/accounts/"), (DAVE, "/grants/"), (DAVE, "/admin/")):
        assert TITLE in page(human, path), (human, path)
    for human in (ALICE, EVE):
        assert TITLE not in page(human)


def test_an_anchor_beside_the_file_that_fails_is_told_with_its_name(
    settings: Any, sign: Callable[[], int], tmp_path: Path
) -> None:
    settings.ANCHORS = [f"git://{tmp_path}/anchors"]
    (name,) = installation.place_names()
    sign()
    AnchorState.objects.create(name=name, error=f"{name}: <nobody> answers", tried_at=later())
    assert f"the anchor {name}: &lt;nobody&gt; answers." in page(GRACE)


def test_it_is_looked_up_twice_a_minute_at_most(anchor: FileAnchor, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[datetime] = []

    def look(_: FileAnchor, now: datetime) -> list[str]:
        looks.append(now)
        return []

    monkeypatch.setattr("sessions.evidence.standing.alarms", look)
    for _ in range(3):
        page(GRACE)
    assert len(looks) == 1
