"""What the README tells a newcomer to type is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from approvals.config import loader
from tests.house import pages, sources

README = (sources.ROOT / "README.md").read_text(encoding="utf-8")


def test_the_configuration_in_the_readme_loads() -> None:
    assert [list(loader.load(block).connections) for block in pages.blocks(pages.README, "yaml")] == [["notes"]]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))))
def test_every_make_target_that_the_readme_names_exists(target: str) -> None:
    makefile = (sources.ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)


@pytest.mark.parametrize("page", sorted(sources.ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (sources.ROOT / link).exists()]

    assert links == []
