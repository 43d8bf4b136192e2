"""The version comes from the change log; the build says which source made it."""

from __future__ import annotations

import re

from gatewayproj import version


def test_the_version_is_the_first_heading_of_the_change_log() -> None:
    headings = re.findall(
        r"^## \[([^\]]+)\]", (version.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert version.version() == next(heading for heading in headings if heading[0].isdigit())


def test_the_build_begins_with_the_version_and_is_one_word() -> None:
    assert re.fullmatch(re.escape(version.version()) + r"(\+[0-9a-f]{12}(-dirty)?)?", version.build())
