"""Checkpoints stamped by a real authority, and checked as an auditor would: by openssl, with its root alone."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sessions.anchors import AnchorBroken
from sessions.events import Event
from sessions.journal import Journal
from sessions.outside import s3
from sessions.outside.feeding import Feeder
from sessions.outside.places import NotAnAnchor, Place, parse
from tests import tsa
from tests.record import Log

pytestmark = pytest.mark.promise("provable")

NOTE = "example.com/log\n7\nAAAA\n\n— example.com/log c2lnbmF0dXJl\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, type[tsa.Clock], Path]]:
    folder = tmp_path_factory.mktemp("tsa") / "authority"
    root = tsa.made(folder)
    handler = type("Handler", (tsa.Clock,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tsa+http://127.0.0.1:{server.server_address[1]}/tsr", handler, root
        server.shutdown()


def place(word: str) -> Place:
    (made,) = parse([word], s3.Keys("", ""))
    return made


def verified(kept: Path, root: Path) -> bool:
    """Say what the documented command says of a checkpoint and its stamp."""
    command = [
        "openssl",
        "ts",
        "-verify",
        "-data",
        str(kept),
        "-in",
        str(kept.with_suffix(".tsr")),
        "-CAfile",
        str(root),
    ]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_checkpoint_is_stamped_and_openssl_agrees(
    journal: Journal, log: Log, authority: tuple[str, type[tsa.Clock], Path], tmp_path: Path
) -> None:
    url, _, root = authority
    stamping = place(f"{url}?keep={tmp_path / 'stamps'}&ca={root}&minutes=30")
    journal.append_now(Event(kind="call.message"))
    log.sequencer.run_once()

    feeder = Feeder(stamping, lambda: True)
    assert feeder.feed(datetime.now(UTC))

    (kept,) = (tmp_path / "stamps").glob("*.checkpoint")
    assert log.signer.verify_key.open(kept.read_text()).size == 2
    assert verified(kept, root)
    assert (stamping.name, stamping.every) == (url, timedelta(minutes=30))
    kept.write_text(kept.read_text().replace("\n2\n", "\n3\n"))
    assert not verified(kept, root), "it is not what was stamped"


def test_a_stamp_of_something_else_or_of_somebody_else_is_none(
    authority: tuple[str, type[tsa.Clock], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler, root = authority
    keep = tmp_path / "stamps"
    stranger = tsa.made(tmp_path / "stranger")

    with pytest.raises(AnchorBroken, match="the stamp does not hold"):
        place(f"{url}?keep={keep}&ca={stranger}").put(NOTE, 7)
    monkeypatch.setattr(handler, "stale", True)
    with pytest.raises(AnchorBroken, match="the stamp does not hold"):
        place(f"{url}?keep={keep}&ca={root}").put(NOTE, 7)
    monkeypatch.setattr(handler, "status", 503)
    with pytest.raises(AnchorBroken, match="answered 503"):
        place(f"{url}?keep={keep}&ca={root}").put(NOTE, 7)
    with pytest.raises(AnchorBroken, match="Connection refused"):
        place(f"tsa+http://127.0.0.1:1/?keep={keep}&ca={root}").put(NOTE, 7)
    assert not keep.exists()


@pytest.mark.parametrize("options", ["", "keep=/x", "ca=/x", "keep=x&ca=/x", "keep=/x&ca=/x&minutes=often"])
def test_what_could_not_be_checked_or_kept_is_refused_at_once(options: str) -> None:
    with pytest.raises(NotAnAnchor, match="HOLDGATE_ANCHORS: tsa"):
        place(f"tsa+https://clock.example/tsr?{options}")
