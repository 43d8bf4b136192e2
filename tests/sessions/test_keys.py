"""Rotating the log's key: both sign for a while, the record says which key follows which, and a verifier follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from approvals.runtime import runtime, shut_down
from sessions import logkey, logstore, store
from sessions.anchors import FileAnchor
from sessions.checkpoint import CheckpointInvalid, Signer, VerifyKey
from sessions.events import Event
from sessions.keychain import RETIRED, ROTATED, KeyChain, facts_of
from sessions.models import Checkpoint
from sessions.sequencer import Sequencer
from tests.evidence import exported, files_of, findings, signed_anew
from tests.held import publish_policy
from tests.record import Log, tamper

pytestmark = pytest.mark.promise("provable")


@dataclass
class Rotating:
    """An installation in a folder of its own, whose key is exchanged."""

    key: Path
    log: Log
    first: VerifyKey

    def signed(self) -> str:
        """Add an entry, sign, and return the newest note."""
        runtime().journal.append_now(Event(kind="call.message"))
        self.log.sequencer.run_once()
        note = logstore.last_note(store.current())
        assert note is not None
        return note

    def verified(self) -> list[str]:
        """Return what `verify` finds, given the first key alone."""
        log = replace(self.log, signer=_named(self.first))
        return [str(one) for one in log.verify()]


def _named(key: VerifyKey) -> Any:
    class Named:
        verify_key = key

    return Named()


@pytest.fixture
def rotating(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Rotating]:
    settings.STATE_DIR, settings.LOG_KEY = tmp_path, tmp_path / "keys" / "log.key"
    settings.ANCHOR_FILE = tmp_path / "anchor.txt"
    shut_down()
    publish_policy()
    signer, anchor = logkey.load(settings.LOG_KEY), FileAnchor(settings.ANCHOR_FILE)
    sequencer = Sequencer(signer, [anchor], renewed=logkey.Renewal(settings.LOG_KEY))
    yield Rotating(settings.LOG_KEY, Log(signer, anchor, sequencer), signer.verify_key)
    sequencer.resign()
    shut_down()


def test_a_verifier_that_has_the_first_key_follows_to_the_next_ones(rotating: Rotating, tmp_path: Path) -> None:
    first = rotating.first
    rotating.signed()
    call_command("rotate_log_key", reason="yearly")
    second = logkey.load(rotating.key).verify_key
    both = rotating.signed()
    assert first.open(both) == second.open(both), "for a while both sign"
    assert rotating.verified() == []

    call_command("rotate_log_key", finish=True)
    alone = rotating.signed()
    with pytest.raises(CheckpointInvalid):
        first.open(alone)
    call_command("rotate_log_key", reason="again", compromised=True)
    third = rotating.signed()
    with pytest.raises(CheckpointInvalid):
        second.open(third)
    assert rotating.verified() == []
    assert not logkey.previous_path(rotating.key).exists(), "a retired key is gone"

    log = replace(rotating.log, signer=logkey.load(rotating.key))
    bundle = files_of(exported(log, tmp_path / "bundle.zip").path)
    assert findings(bundle, str(first), rotating.log.anchor.path.read_text(), deep=True) == []
    told = bundle["log/keys.jsonl"].splitlines(keepends=True)
    assert len(told) == 4
    for number in range(4):
        changed = {**bundle, "log/keys.jsonl": b"".join(told[:number] + told[number + 1 :])}
        assert findings(signed_anew(changed, log.signer), str(first)), f"without line {number}"


def test_a_key_that_has_retired_signs_no_more(rotating: Rotating) -> None:
    old = logkey.load(rotating.key)
    rotating.signed()
    call_command("rotate_log_key", reason="stolen", compromised=True)
    rotating.signed()
    newest = Checkpoint.objects.latest("size")
    forged = old.sign(newest.size, bytes(newest.root))

    tamper("UPDATE mcp_sessions_checkpoint SET note = %s WHERE size = %s", [forged, newest.size])

    assert any("checkpoint signature" in one for one in rotating.verified())


def test_an_entry_that_no_key_signed_makes_no_key(rotating: Rotating) -> None:
    stranger = Signer(rotating.first.name, Ed25519PrivateKey.generate())
    runtime().journal.append_now(Event(kind=ROTATED, facts=facts_of(ROTATED, stranger.verify_key, stranger)))
    rotating.signed()

    assert [one for one in rotating.verified() if "no key of the log signed it" in one]

    chain = KeyChain(rotating.first)
    assert chain.learn(0, ROTATED, {"key": "none", "note": ""})
    assert chain.learn(0, RETIRED, facts_of(RETIRED, rotating.first, stranger)), "not by a stranger"
    mine = logkey.load(rotating.key)
    assert chain.learn(0, RETIRED, facts_of(RETIRED, rotating.first, mine)), "not by itself: nothing would be left"


def test_what_was_interrupted_is_taken_up_again(rotating: Rotating) -> None:
    with pytest.raises(CommandError, match="no rotation is under way"):
        call_command("rotate_log_key", finish=True)
    with pytest.raises(CommandError, match="--reason"):
        call_command("rotate_log_key")
    logkey.follow(rotating.key)  # and then the machine went down
    rotating.signed()
    assert rotating.verified() == []

    call_command("rotate_log_key", reason="yearly")
    call_command("rotate_log_key", reason="yearly")
    call_command("rotate_log_key", finish=True)
    rotating.signed()

    assert rotating.verified() == []
    logkey.follow(rotating.key)
    with pytest.raises(logkey.KeyUnusable, match="finish the rotation"):
        logkey.follow(rotating.key)


def test_a_key_that_is_made_beforehand_is_the_one_that_signs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("make_log_key", str(tmp_path / "keys"))

    signer = logkey.ensure(tmp_path / "keys" / "log.key")
    assert capsys.readouterr().out.strip() == str(signer.verify_key)
    assert logkey.read_public(tmp_path / "keys" / "log.pub") == signer.verify_key
    assert (tmp_path / "keys" / "log.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    call_command("make_log_key", str(tmp_path))
    before = (tmp_path / "log.key").read_bytes()

    with pytest.raises(CommandError, match="is there already"):
        call_command("make_log_key", str(tmp_path))

    assert (tmp_path / "log.key").read_bytes() == before
