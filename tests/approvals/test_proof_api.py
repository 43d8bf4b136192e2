"""Proofs of the log over the API: who may ask, and what they get."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.runtime import Runtime
from sessions import logkey, proving, tlogproof
from sessions.models import Entry
from sessions.sequencer import Sequencer
from sessions.tree import verify_inclusion
from tests.held import anonymous, browser, house
from tests.people import ALICE, GRACE

__all__ = ["house"]

pytestmark = pytest.mark.promise("provable")


def test_an_auditor_gets_checkpoint_and_proofs_and_nobody_else_does(house: Runtime, tmp_path: Path) -> None:
    entry = bytes(Entry.objects.earliest("id").leaf_hash)
    paths = ["checkpoint/", f"entries/{entry.hex()}/proof/", "consistency/1/"]
    grace = browser(GRACE)
    assert grace.get("/api/v1/record/checkpoint/").status_code == 404, "nothing is signed yet"
    signer = logkey.ensure(tmp_path / "log.key", "test")
    sequencer = Sequencer(signer)
    sequencer.run_once()
    sequencer.resign()

    said = [grace.get(f"/api/v1/record/{path}") for path in paths]

    head = signer.verify_key.open(said[0].content.decode())
    proof = tlogproof.read(said[1].content.decode())
    verify_inclusion(entry, proof.place, head.size, proof.hashes, head.root)
    assert said[2].json()["checkpoint"] == proving.newest()
    assert said[0]["content-type"].startswith("text/plain")
    assert grace.get(f"/api/v1/record/entries/{'00' * 32}/proof/").status_code == 404
    assert grace.get("/api/v1/record/consistency/99999/").status_code == 400
    plain = [browser(ALICE).get(f"/api/v1/record/{path}").status_code for path in paths]
    assert {anonymous().get(f"/api/v1/record/{path}").status_code for path in paths} == {401}
    assert plain == [404] * 3, "each proof costs a look at the whole log"
