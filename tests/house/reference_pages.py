"""The reference pages that are made from the code: commands with their options, the API, the table of SOC 2.

`python -m tests.house.reference_pages` (part of `make format`) brings them up to date.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import django
from django.apps import apps
from django.core.management import get_commands, load_command_class

from sessions.evidence.criteria import CRITERIA
from tests.house import sources

FOLDER = sources.ROOT / "docs"
MARK = "<!-- the table is made from the code -->"
MADE = "made from the code by `python -m tests.house.reference_pages`; a test compares"
COMMANDS = f"""# Commands

`.venv/bin/python manage.py COMMAND`. Each reads its settings from the environment
([settings.md](../settings.md)). This page is {MADE}.

All of them take Django's `--settings`, `--traceback`, `--no-color` and `--verbosity` as well. Of Django's own commands
these are of use: `migrate` brings the database up to this release, `check --deploy --database default` says what is not
right. There is no superuser to make: people sign in at an issuer, and `roles` say who is an admin.
"""
API = f"""# The HTTP API

Below the public URL, with a bearer token of an issuer, or with a browser's session and its CSRF token. A running
gateway serves the whole description as OpenAPI at `/api/schema/` and as pages at `/api/docs/`. This page is {MADE}.

Lists are `{{"next": …, "results": […]}}`, newest first; `next` is the cursor of the page after. Unknown filters are
400; what you may not see is 404. Errors are `{{"detail": …}}`, or the refusal fields of
[callers.md](../callers.md#refusals).
"""
OWN = ("approvals", "gatewayproj", "proxy", "mcp_sessions")
USUAL = frozenset(
    {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks"}
)


def commands() -> str:
    """Return the page of the commands."""
    ours = {apps.get_app_config(label).name for label in OWN}
    names = sorted(name for name, app in get_commands().items() if app in ours)
    return COMMANDS + "".join(_command(name) for name in names)


def _command(name: str) -> str:
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    text = f"\n## {name}\n\n{command.help}\n"
    text += _options(parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help for choice in action._choices_actions}
            for chosen, sub in action.choices.items():
                text += f"\n### {name} {chosen}\n\n{_sentence(said.get(chosen) or '')}\n{_options(sub)}"
    return text


def _options(parser: argparse.ArgumentParser) -> str:
    rows = [
        f"| {', '.join(f'`{name}`' for name in action.option_strings) or f'`{action.metavar or action.dest}`'} | "
        f"{_default(action)} | {_cell(action.help or '')} |\n"
        for action in parser._actions
        if action.dest not in USUAL and not isinstance(action, argparse._SubParsersAction)
    ]
    return f"\n| option | default | meaning |\n|---|---|---|\n{''.join(rows)}" if rows else ""


def _default(action: argparse.Action) -> str:
    value = action.default
    return f"`{value}`" if isinstance(value, str | int | float) and value and value is not True else "–"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")


def _cell(text: str) -> str:
    return " ".join(text.replace("%%", "%").replace("|", "\\|").split())


def api() -> str:
    """Return the page of the API."""
    from drf_spectacular.generators import SchemaGenerator

    generator: Any = SchemaGenerator
    schema: dict[str, Any] = generator().get_schema(request=None, public=True)
    rows: dict[str, list[str]] = {}
    for path, operations in sorted(schema["paths"].items()):
        for verb, said in operations.items():
            asked = " ".join(f"`{one['name']}`" for one in said.get("parameters", ()) if one["in"] == "query")
            first = _cell(str(said.get("description") or "").split("\n\n")[0])
            rows.setdefault(path.split("/")[3] or "api", []).append(
                f"| `{verb.upper()} {path}` | {first} | {asked} |\n"
            )
    head = "| request | what it does | query |\n|---|---|---|\n"
    return API + "".join(f"\n## {part}\n\n{head}{''.join(lines)}" for part, lines in sorted(rows.items()))


def soc2() -> str:
    """Return the page about SOC 2 with the table of the code."""
    rows = "".join(f"| {one.category} | {one.ids} | {one.asks} | {one.shows} |\n" for one in CRITERIA)
    before, rest = (FOLDER / "explanation" / "soc2.md").read_text(encoding="utf-8").split(MARK, 1)
    head = "| | criteria | ask for | the gateway shows |\n|---|---|---|---|\n"
    return f"{before}{MARK}\n\n{head}{rows}\n{rest[rest.index('## ') :]}"


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/api.md": api,
    "explanation/soc2.md": soc2,
}


def outdated() -> Iterator[tuple[str, str]]:
    """Yield name and new text of the pages that are not as the code has it."""
    for name, made in PAGES.items():
        page, text = FOLDER / name, made()
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            yield name, text


def main() -> int:
    """Write the pages and return 0."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "gatewayproj.settings"
    django.setup()
    for name, text in outdated():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{name}: brought up to date\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
