"""Every environment variable that the product reads is documented, and none that it does not read."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from gatewayproj import env, version
from tests.house import settings_page, sources

PAGE = settings_page.PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_<>]*)` \|", re.MULTILINE)

# These two read every setting and so fill the registry.
assert settings.configured
assert version.build()


def _documented(heading: str) -> set[str]:
    """Return the names in the table under a heading of docs/settings.md."""
    return set(ROW.findall(PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]))


@pytest.mark.parametrize("setting", env.REGISTRY.values(), ids=lambda setting: setting.name)
def test_every_setting_is_documented_as_it_is(setting: env.Setting) -> None:
    row = settings_page.row(setting)

    assert row in PAGE.splitlines(), f"`make format` writes the missing row:\n{row}"


def test_nothing_is_documented_that_the_gateway_does_not_read() -> None:
    assert _documented("The gateway") <= set(env.REGISTRY)


def test_what_the_command_line_reads_is_documented_apart() -> None:
    assert _documented("`manage.py call`") >= {"HOLDGATE_URL", "HOLDGATE_TOKEN"}


@pytest.mark.parametrize("setting", env.REGISTRY.values(), ids=lambda setting: setting.name)
def test_no_default_names_a_folder_of_this_machine(setting: env.Setting) -> None:
    assert str(sources.ROOT) not in setting.default
