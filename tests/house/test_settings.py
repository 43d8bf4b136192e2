"""Every environment variable that the product reads is documented, and none that it does not read."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from gatewayproj import env, version
from tests.house import sources

PAGE = sources.ROOT / "docs" / "settings.md"
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_<>]*)` \| (.*?) \| (.*) \|$")

# Importing these two reads every setting and so fills the registry.
assert settings.configured
assert version.build()


def _rows(heading: str) -> dict[str, tuple[str, str]]:
    """Return name → (default, meaning) of the table under a heading of docs/settings.md."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {found[1]: (found[2], found[3]) for line in section.splitlines() if (found := ROW.match(line))}


def _row(setting: env.Setting) -> str:
    default = f"`{setting.default}`" if setting.default else "–"
    return f"| `{setting.name}` | {default} | {setting.help}{' *Secret.*' if setting.secret else ''} |"


@pytest.mark.parametrize("setting", env.REGISTRY.values(), ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: env.Setting) -> None:
    if setting.default.startswith("/"):
        pytest.fail(f"{setting.name}: a default must not be a path of this machine")

    assert _row(setting) in PAGE.read_text(encoding="utf-8").splitlines(), (
        f"missing in docs/settings.md:\n{_row(setting)}"
    )


def test_nothing_is_documented_that_the_gateway_does_not_read() -> None:
    assert set(_rows("The gateway")) <= set(env.REGISTRY)


def test_what_the_command_line_reads_is_documented_apart() -> None:
    assert {"HOLDGATE_URL", "HOLDGATE_TOKEN"} <= set(_rows("`manage.py call`"))
