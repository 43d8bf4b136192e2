"""Receipts of answers: signed by the process that wrote the entry, looked up in a bundle, missed when it is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessions.evidence.gwverify import command
from sessions.journal import Journal
from tests import evidence
from tests.evidence import about, exported
from tests.record import Log

pytestmark = pytest.mark.promise("provable")


def verified(bundle: Path, log: Log, receipts: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return exit code and output of the verifier."""
    key, file = bundle.with_name("log.pub"), bundle.with_name("receipts.txt")
    key.write_text(f"{log.signer.verify_key}\n")
    file.write_text(receipts)
    capsys.readouterr()
    code = command.main([str(bundle), "--key", str(key), "--receipts", str(file)])
    return code, capsys.readouterr().out


def test_a_receipt_is_found_in_the_bundle_and_a_promise_that_was_not_kept_is_told(
    journal: Journal, log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence.write(journal, log)
    assert journal.receipt("open") is None, "it has no end yet"
    receipt = journal.receipt("allowed")
    blocked = journal.receipt("blocked")
    assert receipt is not None
    assert blocked is not None
    assert journal.receipt("allowed") is None, "once"
    bundle = exported(log, tmp_path / "bundle.zip").path

    said = f"2026-01-01 step 1\n12:00 answer: {json.dumps({'_meta': {'holdgate/receipt': receipt}})}\n"
    code, told = verified(bundle, log, said, capsys)
    assert (code, f"receipt of entry {receipt['entry']}: log index " in told, "signed by" in told) == (0, True, True), (
        told
    )

    def outcome(**changed: Any) -> tuple[int, str]:
        return verified(bundle, log, json.dumps([{**receipt, **changed}, blocked]), capsys)

    code, told = outcome(entry="ab" * 32)
    assert (code, "did not sign it" in told) == (1, True), "a receipt that was made up"
    code, told = outcome(signature="00")
    assert (code, "did not sign it" in told) == (1, True)
    code, told = outcome(writer="elsewhere")
    assert (code, "whose start and key are not in this bundle" in told) == (0, True)
    code, told = outcome(writer="elsewhere", entry="cd" * 32)
    assert (code, "outside of this bundle" in told) == (0, True)

    dropped = journal._receipts.of("ef" * 32, receipt["n"])
    code, told = verified(bundle, log, json.dumps(dropped), capsys)
    assert (code, "was promised, and the log does not have it" in told) == (1, True), "a process that lied"


def test_what_is_not_answered_yet_or_was_not_written_here_has_no_receipt(journal: Journal) -> None:
    journal.append_now(about("call.intent", call_id="running", facts={"verdict": "allow"}))

    assert journal.receipt("running") is None
    assert journal.receipt("of another process") is None
