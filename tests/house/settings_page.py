"""The table of docs/settings.md, made from what the code reads.

`python -m tests.house.settings_page` (part of `make format`) brings the page up to date.
"""

from __future__ import annotations

import os
import sys

import django

from gatewayproj import env
from tests.house import sources

PAGE = sources.ROOT / "docs" / "settings.md"
BEFORE = "\n## The gateway\n\n| name | default | meaning |\n|---|---|---|\n"


def row(setting: env.Setting) -> str:
    """Return the setting as a row of the table."""
    default = f"`{setting.default}`" if setting.default else "–"
    return f"| `{setting.name}` | {default} | {setting.help}{' *Secret.*' if setting.secret else ''} |"


def rendered(page: str) -> str:
    """Return the page with the gateway's table as the registry has it now; the rest is left alone."""
    head, rest = page.split(BEFORE, 1)
    table = "".join(f"{row(setting)}\n" for setting in env.REGISTRY.values())
    return head + BEFORE + table + rest[rest.index("\n## ") :]


def main() -> int:
    """Read every setting, write the page, and return 0."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "gatewayproj.settings"
    django.setup()
    page = PAGE.read_text(encoding="utf-8")
    if (new := rendered(page)) != page:
        PAGE.write_text(new, encoding="utf-8")
        sys.stdout.write("docs/settings.md: brought up to date\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
