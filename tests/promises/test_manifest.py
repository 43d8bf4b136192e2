"""Promises and the tests that carry them agree in both directions, and the README prints the list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.evidence.promises import PROMISES, Promise

ROOT = Path(__file__).resolve().parents[2]
IDS = {promise.id for promise in PROMISES}


def _carried(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and id of every `pytest.mark.promise(id)` in a module; an id that is no literal as `?`."""
    for node in ast.walk(ast.parse(source)):  # breadth first, so not in the order of lines
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            for argument in node.args:
                yield node.lineno, str(argument.value) if isinstance(argument, ast.Constant) else "?"


def _all_carried() -> list[tuple[str, str]]:
    return [
        (f"{path.relative_to(ROOT)}:{line}", promise)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "node_modules" not in path.parts
        for line, promise in _carried(path.read_text(encoding="utf-8"))
    ]


def test_there_are_ten_promises_with_ids_of_their_own() -> None:
    assert len(PROMISES) == len(IDS) == 10


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_every_promise_is_shown_by_a_test(promise: Promise) -> None:
    shown_by = [where for where, carried in _all_carried() if carried == promise.id]

    assert shown_by, f"no test carries @pytest.mark.promise({promise.id!r})"


def test_no_test_carries_an_id_that_is_no_promise() -> None:
    assert [(where, carried) for where, carried in _all_carried() if carried not in IDS] == []


def test_the_scan_sees_decorators_and_module_marks() -> None:
    source = 'pytestmark = [pytest.mark.promise("a")]\n@pytest.mark.promise("b")\ndef test(): ...\n'

    assert set(_carried(source)) == {(1, "a"), (2, "b")}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_the_readme_prints_every_promise_as_it_stands_here(promise: Promise) -> None:
    row = f"| `{promise.id}` | {promise.sentence} | {', '.join(promise.criteria)} |"

    assert row in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
