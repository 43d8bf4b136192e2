"""Bundles that people ask for: made in the background, told of in the record, handed out, deleted."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from approvals.evidence import bundles
from approvals.runtime import Runtime
from sessions import installation
from sessions.evidence import jobs
from sessions.evidence.report import report
from sessions.models import BundleJob, BundlePart, Entry
from tests.evidence import findings
from tests.held import ISS, anonymous, browser, house, publish_policy, recorded
from tests.people import ALICE, DAVE, GRACE

__all__ = ["house"]
BUNDLES = "/api/v1/evidence/bundles/"


@pytest.fixture
def sealed(house: Runtime, settings: Any, tmp_path: Path) -> Runtime:
    """A house with a call in its record, whose log is signed when it is asked."""
    settings.LOG_KEY = tmp_path / "keys" / "log.key"
    settings.STATE_DIR = tmp_path
    settings.ANCHOR_FILE = tmp_path / "anchor" / "checkpoints.txt"
    recorded(house)
    seal()
    return house


def asked(human: Any = GRACE, **changes: Any) -> Any:
    body = {"since": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z", "payloads": True, **changes}
    return browser(human).post(BUNDLES, body, content_type="application/json")


def seal() -> None:
    sequencer = installation.sequencer()
    sequencer.run_once()
    sequencer.resign()


def _body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def entries(kind: str) -> list[dict[str, Any]]:
    return [json.loads(bytes(row.leaf)) for row in Entry.objects.filter(kind=kind).order_by("id")]


def test_a_bundle_is_made_told_of_handed_out_and_deleted(sealed: Runtime) -> None:
    made = asked()
    bundle = made.json()["id"]
    assert made.status_code == 202
    assert made.json()["state"] == "wanted"

    assert bundles.run_due(sealed) == 1

    ready = browser(GRACE).get(f"{BUNDLES}{bundle}/").json()
    assert (ready["state"], ready["asked_by"]) == ("ready", f"{ISS}|{GRACE.sub}")
    answer: Any = browser(GRACE).get(f"{BUNDLES}{bundle}/file/")
    content = _body(answer)
    assert len(content) == ready["size"] == int(answer["Content-Length"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert findings(files, str(installation.signer().verify_key)) == []
    assert b"seven rows" in files["log/payloads.jsonl"]
    (told,) = entries("evidence.exported")
    assert told["facts"]["bundle"] == bundle
    assert told["facts"]["manifest"] == BundleJob.objects.get().manifest
    assert [one["actor"] for one in entries("evidence.downloaded")] == [told["actor"]]

    assert browser(GRACE).delete(f"{BUNDLES}{bundle}/").json()["state"] == "deleted"
    jobs.clear()
    assert not BundlePart.objects.exists()
    assert browser(GRACE).get(f"{BUNDLES}{bundle}/file/").status_code == 404
    assert [one["facts"]["reason"] for one in entries("evidence.deleted")] == ["asked"]


def test_who_may_have_which(sealed: Runtime) -> None:
    assert asked(ALICE).status_code == 404
    assert anonymous().get(BUNDLES).status_code == 401
    refused = asked(DAVE)
    assert refused.status_code == 400
    assert "payloads" in refused.json()["errors"], "an admin does not see what calls carried"
    with_payloads, without = asked().json()["id"], asked(DAVE, payloads=False).json()["id"]
    bundles.run_due(sealed)
    seal()
    bundles.run_due(sealed)

    got = [browser(DAVE).get(f"{BUNDLES}{one}/file/").status_code for one in (with_payloads, without)]

    assert got == [404, 200]
    content = _body(browser(DAVE).get(f"{BUNDLES}{without}/file/"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("log/payloads.jsonl") == b""


def test_a_file_is_deleted_when_its_time_is_over_and_the_record_says_so(sealed: Runtime) -> None:
    bundle = asked().json()["id"]
    bundles.run_due(sealed)
    BundleJob.objects.update(expires_at=Now() - timedelta(seconds=1))

    bundles.run_due(sealed)

    assert BundleJob.objects.get(pk=bundle).state == "deleted"
    assert not BundlePart.objects.exists()
    assert [one["facts"]["reason"] for one in entries("evidence.deleted")] == ["expired"]


def test_entries_without_a_place_are_waited_for_and_not_left_out(sealed: Runtime) -> None:
    asked()
    publish_policy(groups={"dba": {"members": [ALICE.email]}, "security": {"members": []}, "platform": {"members": []}})

    assert bundles.run_due(sealed) == 0
    job = BundleJob.objects.get()
    assert job.state == "wanted"
    assert "no place in the log yet" in job.problem

    seal()
    assert bundles.run_due(sealed) == 1


def test_what_a_dead_process_began_is_taken_over(sealed: Runtime) -> None:
    asked()
    BundlePart.objects.create(making="dead", number=0, body=b"half")
    BundleJob.objects.update(state="making", making="dead", beat_at=Now())
    assert not jobs.make_next(installation.signer(), report), "it may live yet"

    BundleJob.objects.update(beat_at=Now() - jobs.SILENCE - timedelta(seconds=1))

    assert bundles.run_due(sealed) == 1
    assert not BundlePart.objects.filter(making="dead").exists()


def test_one_that_nobody_wants_any_more_is_not_kept(sealed: Runtime) -> None:
    bundle = asked().json()["id"]
    claimed = jobs._claim()
    assert claimed is not None

    browser(GRACE).delete(f"{BUNDLES}{bundle}/")

    assert not jobs._own(claimed).exists()
    assert not jobs.make_next(installation.signer(), report)


def test_a_period_that_ends_before_it_begins_and_too_many_at_once_are_refused(sealed: Runtime) -> None:
    assert asked(until="2025-01-01T00:00:00Z").status_code == 400
    assert [asked().status_code for _ in range(bundles.MOST_OPEN + 1)] == [202] * bundles.MOST_OPEN + [400]


def test_the_page_asks_shows_and_hands_out(sealed: Runtime) -> None:
    grace = browser(GRACE)
    assert "No bundle was asked for lately" in grace.get("/evidence/").content.decode()

    asked_for = grace.post("/evidence/bundles/", {"since": "2026-01-01", "until": "2098-12-31", "payloads": "on"})

    assert asked_for.status_code == 302
    assert "Waiting to be made" in grace.get("/evidence/").content.decode()
    bundles.run_due(sealed)
    job = BundleJob.objects.get()
    page = grace.get("/evidence/").content.decode()
    assert f'href="/evidence/bundles/{job.pk}/"' in page
    assert job.until.isoformat() == "2099-01-01T00:00:00+00:00", "the last day is in it"
    assert len(_body(grace.get(f"/evidence/bundles/{job.pk}/"))) == job.size
    assert f'href="/evidence/bundles/{job.pk}/"' not in browser(DAVE).get("/evidence/").content.decode()
    assert browser(ALICE).get(f"/evidence/bundles/{job.pk}/").status_code == 404
    assert grace.post(f"/evidence/bundles/{job.pk}/delete/").status_code == 302
    assert "The file is deleted" in grace.get("/evidence/").content.decode()
    assert grace.post("/evidence/bundles/", {"since": "x", "until": "2026-02-30"}).status_code == 400


@pytest.mark.promise("secrets-stay")
def test_what_a_failure_says_is_not_shown(sealed: Runtime) -> None:
    def failing(_: dict[str, Any]) -> str:
        raise RuntimeError("postgresql://web:canary-of-a-bundle@db/x")

    asked()
    assert jobs.make_next(installation.signer(), failing)

    job = BundleJob.objects.get()
    assert (job.state, job.problem) == ("failed", "RuntimeError; the log of the process that made it says more")
    assert not BundlePart.objects.exists()
