"""Random changes of a finished record, its checkpoints and its anchor: each is found, and rightly named."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction

from sessions import guards
from sessions.anchors import AnchorBroken, FileAnchor
from sessions.checkpoint import Signer
from sessions.events import Event, Payload
from sessions.ledger import Ledger
from sessions.rows import Finding
from sessions.sequencer import LogRefused, Sequencer
from sessions.verifier import Verifier
from tests.mutations import MUTATIONS, Forger, run
from tests.record import ORIGIN, Log, running

pytestmark = pytest.mark.promise("provable")

SEED = 20261121


@pytest.fixture
def finished(log: Log) -> Iterator[Log]:
    """A record of two processes that have ended: some sixty entries, ten payloads, seven checkpoints; no triggers."""
    for batch in range(2):
        with running() as journal:
            for call in range(5):
                name = f"{batch}-{call}"
                facts: dict[str, str | int | bool | list[str] | None] = {"rules": ["r"], "attempt": call}
                journal.append_now(
                    Event(kind="call.intent", call_id=name, session="s", connection="orders-db", tool="query",
                          actor="ab" * 16, policy_revision=3, policy_digest="dd", facts=facts,
                          payloads={"request": Payload(f"request of {name}".encode())}),
                    *(Event(kind="call.message", call_id=name) for _ in range(3)),
                    Event(kind="call.result", call_id=name, facts={"executed": "true"}),
                )  # fmt: skip
                if call % 2:
                    log.sequencer.run_once()
        log.sequencer.run_once()
    guards.drop(connection)
    yield log
    guards.create(connection)


def drawing(number: int) -> random.Random:
    return random.Random(SEED + number)  # noqa: S311 - no secret, and the same in every run


def found(log: Log, anchor: FileAnchor) -> list[Finding]:
    verifier = Verifier(Ledger(connection), log.signer.verify_key, anchor.notes(anchor.length()))
    try:
        return list(verifier.run())
    except AnchorBroken as broken:  # `verify` says that it cannot check, and why
        return [Finding("anchor", str(broken), "")]


@pytest.mark.parametrize("times", [1_000, pytest.param(12_000, marks=pytest.mark.chaos)])
def test_each_random_change_is_found_and_named(finished: Log, tmp_path: Path, times: int) -> None:
    text, stranger = finished.anchor.path.read_text(), Signer(ORIGIN, Ed25519PrivateKey.generate())
    changed = FileAnchor(tmp_path / "changed.txt")
    names, tried = sorted(MUTATIONS), Counter[str]()
    with transaction.atomic():
        assert found(finished, finished.anchor) == []
        for number in range(times):
            name = names[number % len(names)]
            point = transaction.savepoint()
            forger = Forger(drawing(number), finished.signer, stranger, text)
            named = MUTATIONS[name](forger)
            changed.path.write_text(forger.notes, newline="")
            kinds = {finding.kind for finding in found(finished, changed)}
            assert kinds & named, f"{name} with seed {SEED + number}: {sorted(named)} expected, {sorted(kinds)} found"
            tried[name] += 1
            transaction.savepoint_rollback(point)
        assert found(finished, finished.anchor) == [], "the record is as it was"
        transaction.set_rollback(True)
    assert tried.total() == times
    assert set(tried) == set(names)


@pytest.mark.parametrize("column", ["size", "frontier"])
def test_the_sequencer_signs_nothing_on_a_changed_state(finished: Log, column: str) -> None:
    state = "mcp_sessions_sequencerstate"
    ((size, frontier),) = run(f"SELECT size, frontier FROM {state}")
    rng = drawing(0)
    finished.sequencer.resign()
    for _ in range(20):
        at = rng.randrange(len(frontier))
        wrong = {
            "size": max(0, size + rng.choice([-3, -1, 1, 64])),
            "frontier": frontier[:at] + bytes([frontier[at] ^ 1]) + frontier[at + 1 :],
        }
        run(f"UPDATE {state} SET {column} = %s", wrong[column])
        successor = Sequencer(finished.signer, [finished.anchor])
        with pytest.raises(LogRefused):
            successor.run_once()
        successor.resign()
        run(f"UPDATE {state} SET size = %s, frontier = %s", size, frontier)
    assert Sequencer(finished.signer, [finished.anchor]).run_once() == 0
