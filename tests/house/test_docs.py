"""What the documentation says is what the code does: examples load, tables agree, names and links lead somewhere."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.urls import resolve
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from approvals import states
from approvals.config import conditions, connections, detectors, identity, loader, masking, reading, rules
from gatewayproj import metrics
from masking.detectors import DETECTORS
from masking.providers import PROVIDERS
from proxy import knobs
from proxy.client import outcomes
from proxy.refusals import REASONS
from tests.house import callers_page, pages, reference_pages, sources

CONFIGURATION, CALLERS = pages.text_of("configuration.md"), pages.text_of("callers.md")
MASKING = pages.text_of("masking.md")
# Parts of a file are shown as parts; these groups stand in the rest of it.
REST: dict[str, Any] = {"groups": {name: {"members": ["a@example.com"]} for name in ("dba", "security", "platform")}}
YAML = [(pages.name_of(page), block) for page in pages.PAGES for block in pages.blocks(page, "yaml")]
TABLES: dict[str, type[BaseModel]] = {
    "## `issuers`": identity.Issuer,
    "### `saml`": identity.Saml,
    "## `connections`": connections.Connection,
    "## `rules`": rules.Rule,
    "### `match`": rules.Match,
    "### `approval`": rules.Approval,
    "## `masking`": masking.Masking,
    "## `detectors`": detectors.CustomDetector,
}


@pytest.mark.parametrize(("page", "block"), YAML, ids=[f"{page}-{at}" for at, (page, _) in enumerate(YAML)])
def test_every_configuration_that_is_shown_loads(page: str, block: str) -> None:
    shown = reading.read(block).data  # every scalar as text, as the loader takes it

    loader.load(block if "version" in shown else yaml.safe_dump({**REST, **shown}))  # or it raises ConfigError


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_other_documents_that_are_shown_can_be_read(page: Path) -> None:
    for block in pages.blocks(page, "yml"):
        assert yaml.safe_load(block)
    for block in pages.blocks(page, "json"):
        assert json.loads(block)


@pytest.mark.parametrize("heading", TABLES)
def test_the_tables_of_the_configuration_name_every_key_with_its_default(heading: str) -> None:
    model = TABLES[heading]
    said = {row[0].strip("`"): row[1].strip("`") for row in pages.rows(pages.section(CONFIGURATION, heading), "key")}

    assert said == {name: _default(model, name) for name in model.model_fields}


def _default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required() or (model, name) == (connections.Connection, "url"):  # its validator asks for it
        return "required"
    assert field.default is not PydanticUndefined
    value = model.model_construct(**{name: field.default}).model_dump(mode="json", include={name})[name]
    return "–" if value is None else _flow(value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key}: {_flow(one)}" for key, one in value.items() if one is not None)
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_every_operator_of_a_condition_is_documented() -> None:
    section = pages.section(CONFIGURATION, "### `arguments`")
    said = set(re.findall(r"`([a-z_]+)(?:: true)?`", " ".join(row[0] for row in pages.rows(section, "operator"))))

    assert said == {*conditions.OPERATORS, *conditions.COMPARISONS}


def test_every_detector_is_documented() -> None:
    for page in (CONFIGURATION, MASKING):
        assert {row[0].strip("`") for row in pages.rows(page, "detector")} == DETECTORS
    named = pages.section(MASKING, "### Providers").split("\n\n")[0].replace("\n", " ").strip(" .")
    assert named.split(", ") == sorted({provider for provider, _ in PROVIDERS}, key=str.casefold)


def test_the_table_of_refusals_is_that_of_the_code() -> None:
    assert callers_page.rendered(CALLERS) == CALLERS, "`python -m tests.house.callers_page` brings it up to date"
    assert [row[0].strip("`") for row in pages.rows(CALLERS, "reason")] == list(REASONS)


def test_the_callers_knobs_are_those_of_the_code() -> None:
    def named(text: str) -> list[tuple[str, str]]:
        found = [
            (row[0].split(":")[0].strip("`"), row[1].split()[0].strip("`")) for row in pages.rows(text, "header field")
        ]
        return sorted(found)

    assert named(CALLERS) == named(str(knobs.__doc__))


@pytest.mark.parametrize("page", [pages.README, sources.ROOT / "docs" / "callers.md"], ids=pages.name_of)
def test_every_exit_code_of_call_is_documented(page: Path) -> None:
    said = [int(row[0]) for row in pages.rows(page.read_text(encoding="utf-8"), "exit code")]

    assert said == [
        outcomes.DONE, outcomes.TOOL_ERROR, outcomes.TROUBLE, outcomes.DENIED, outcomes.PENDING, outcomes.BLOCKED,
        outcomes.UNKNOWN,
    ]  # fmt: skip


def test_the_picture_of_the_states_is_that_of_the_code() -> None:
    picture = str(states.__doc__).split("\n\n", 1)[1]

    assert dedent(picture).strip() in dedent(next(pages.blocks(sources.ROOT / "docs" / "approving.md", "")))


def test_every_table_of_the_record_is_named() -> None:
    models = list(apps.get_app_config("mcp_sessions").get_models())

    assert [model for model in models if f"`{model._meta.db_table}`" not in pages.text_of("record.md")] == []


def _everything() -> Iterator[tuple[str, str]]:
    for page in pages.PAGES:
        yield pages.name_of(page), page.read_text(encoding="utf-8")


def _said_commands() -> list[tuple[str, str, str]]:
    pattern = re.compile(r"manage\.py ([a-z_]+)((?:[^\n`|]|\\\n)*)")
    said = [(name, found[1], found[2].strip()) for name, text in _everything() for found in pattern.finditer(text)]
    return list(dict.fromkeys(said))


@pytest.mark.parametrize(("page", "command", "rest"), _said_commands())
def test_every_command_that_is_shown_exists_with_its_options(page: str, command: str, rest: str) -> None:
    assert command in get_commands(), page
    known = _options(load_command_class(get_commands()[command], command).create_parser("manage.py", command))

    assert set(re.findall(r"(?:^|\s)\[?(--[a-z-]+)", rest)) <= known


def _options(parser: ArgumentParser) -> set[str]:
    found = {option for action in parser._actions for option in action.option_strings}
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            found |= {option for one in action.choices.values() for option in _options(one)}
    return found


@pytest.mark.parametrize(
    "path",
    sorted({path for _, text in _everything() for path in re.findall(r"/api/[a-z0-9/<>{}$_-]+", text, re.IGNORECASE)}),
)
def test_every_address_of_the_api_that_is_shown_is_served(path: str) -> None:
    resolve(re.sub(r"<[^>]*>|{[^}]*}|\$ID", "1", path))  # or it raises Resolver404


ALL = [*pages.PAGES, *sorted((pages.DOCS / "decisions").glob("*.md")), *sorted(sources.ROOT.glob("[!R]*.md"))]


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(sources.ROOT)))
def test_links_lead_to_pages_and_headings_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    broken = []
    for link in (link for link in links if not re.match(r"[a-z]+:", link)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


def _anchors(page: Path) -> set[str]:
    """Return what GitHub makes of the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    plain = (
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found).lower() for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    )
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def test_every_page_is_linked_from_the_index_and_the_index_from_the_readme() -> None:
    index = (pages.DOCS / "README.md").read_text(encoding="utf-8")
    names = [str(page.relative_to(pages.DOCS)) for page in pages.PAGES[1:]]

    assert [name for name in names if name != "README.md" and f"({name}" not in index] == []
    assert "(docs/README.md)" in pages.README.read_text(encoding="utf-8")


def test_the_reference_pages_are_those_of_the_code() -> None:
    assert [name for name, _ in reference_pages.outdated()] == [], "`make format` brings them up to date"


def test_every_metric_is_documented_and_none_that_is_not_there() -> None:
    section = pages.section(pages.text_of("operating.md"), "## Numbers")
    said = {name for row in pages.rows(section, "metric") for name in _metrics(row[0])}

    assert said == {name for name in _exported() if not name.startswith("holdgate_process_")} | {"holdgate_process_*"}


def _metrics(cell: str) -> Iterator[str]:
    """Yield the names in a cell; `_limit` after a name stands for that name with this end."""
    first = ""
    for name in re.findall(r"`([a-z_*]+)`", cell):
        first = first if name.startswith("_") else name
        yield first + name if name.startswith("_") else name


def _exported() -> set[str]:
    """Return the names under which Prometheus sees the families: counters end in `_total`."""
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in metrics.registry.collect()}
