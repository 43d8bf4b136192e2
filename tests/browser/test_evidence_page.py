"""The evidence page in a real browser: a bundle is asked for, its making is watched, its file is taken away."""

from __future__ import annotations

import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from approvals.evidence import bundles
from approvals.runtime import Runtime
from tests.browsing import sign_in
from tests.held import recorded
from tests.people import GRACE


def test_a_bundle_is_asked_for_watched_and_downloaded(
    desktop: Page, gateway: str, house: Runtime, problems: list[str], tmp_path: Path
) -> None:
    recorded(house)
    sign_in(desktop, gateway, GRACE)
    desktop.goto(f"{gateway}/evidence/")
    desktop.get_by_label("First day").fill("2026-01-01")
    desktop.get_by_label("Last day").fill("2098-12-31")

    desktop.get_by_role("button", name="Make the bundle").click()

    expect(desktop.get_by_text("Waiting to be made")).to_be_visible()
    for _ in range(20):  # while the log goes on beside it
        if bundles.run_due(house):
            break
        desktop.wait_for_timeout(200)
    link = desktop.get_by_role("link", name="Download")
    expect(link).to_be_visible()  # without a reload
    with desktop.expect_download() as taken:
        link.click()
    taken.value.save_as(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        assert "MANIFEST.note" in archive.namelist()
    desktop.get_by_role("button", name="Delete the file").click()
    expect(desktop.get_by_text("The file is deleted.").first).to_be_visible()
    assert problems == []
