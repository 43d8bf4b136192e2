"""The table of refusals in docs/callers.md, made from `proxy.refusals`.

`python -m tests.house.callers_page` brings the page up to date.
"""

from __future__ import annotations

import sys

from proxy.refusals import REASONS
from tests.house import sources

PAGE = sources.ROOT / "docs" / "callers.md"
HEAD = "| reason | code | status | says | what to do |\n|---|---|---|---|---|\n"


def table() -> str:
    """Return the rows of the table, one for each reason, in the order of their numbers."""
    return "".join(
        f"| `{name}` | −{-row.code} | {row.status} | {row.headline} | {row.next_step} |\n"
        for name, row in REASONS.items()
    )


def rendered(page: str) -> str:
    """Return the page with the table as the code has it now; the rest is left alone."""
    before, rest = page.split(HEAD, 1)
    return before + HEAD + table() + rest[rest.index("\n") if rest.startswith("\n") else rest.index("\n\n") + 1 :]


def main() -> int:
    """Write the page and return 0."""
    page = PAGE.read_text(encoding="utf-8")
    if (new := rendered(page)) != page:
        PAGE.write_text(new, encoding="utf-8")
        sys.stdout.write("docs/callers.md: brought up to date\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
