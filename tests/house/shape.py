"""The shape of the code: files at most 400 lines, functions at most 60, nine of ten at most 30.

`python -m tests.house.shape` prints what is too long and exits 1, or prints the figures and exits 0.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house import sources

FILE_LINES = 400
FUNCTION_LINES = 60
USUAL_LINES = 30
USUAL_SHARE = 0.9
COUNTED = {".py", ".html", ".css", ".js", ".mjs", ".ts", ".sh"}
NOT_COUNTED = ("/migrations/", "static/vendor/", "docs/")


@dataclass(frozen=True, slots=True)
class Function:
    """One function with its length in lines, from `def` to its last line, docstring included."""

    where: str
    name: str
    lines: int


def functions(source: str, where: str) -> Iterator[Function]:
    """Yield every function of a Python source, nested ones and methods too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield Function(f"{where}:{node.lineno}", node.name, end - node.lineno + 1)


def counted(paths: Iterable[Path]) -> list[Path]:
    """Return those source files whose length counts: hand-written code, no migrations, nothing vendored."""
    return [
        path
        for path in paths
        if path.suffix in COUNTED and not any(part in sources.relative(path) for part in NOT_COUNTED)
    ]


def long_files(paths: Iterable[Path]) -> list[str]:
    """Return one line for each file over the limit."""
    found = []
    for path in paths:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            found.append(f"{sources.relative(path)}: {lines} lines, at most {FILE_LINES}")
    return found


def long_functions(every: Iterable[Function]) -> list[str]:
    """Return one line for each function over the limit."""
    return [
        f"{function.where}: {function.name} has {function.lines} lines, at most {FUNCTION_LINES}"
        for function in every
        if function.lines > FUNCTION_LINES
    ]


def usual_share(every: list[Function]) -> float:
    """Return the share of functions of at most 30 lines; 1.0 when there are none."""
    usual = sum(function.lines <= USUAL_LINES for function in every)
    return usual / len(every) if every else 1.0


def problems() -> list[str]:
    """Return every breach of the shape in the repository; empty when all is well.

    Product and tests are measured apart, so that many small tests do not hide long functions of the product.
    """
    files = counted(sources.tracked())
    found = long_files(files)
    for title, every in measured(files).items():
        found += long_functions(every)
        if (share := usual_share(every)) < USUAL_SHARE:
            found.append(f"{title}: only {share:.1%} of functions have at most {USUAL_LINES} lines")
    return found


def measured(files: Iterable[Path]) -> dict[str, list[Function]]:
    """Return the functions of the Python files, the product's and those of tests and benchmarks apart."""
    parts: dict[str, list[Function]] = {"product": [], "tests": []}
    for path in files:
        if path.suffix == ".py":
            where = sources.relative(path)
            part = "product" if where.startswith(sources.PRODUCT) else "tests"
            parts[part] += functions(path.read_text(encoding="utf-8"), where)
    return parts


def main() -> int:
    """Print the result and return the exit status."""
    found = problems()
    for line in found:
        sys.stdout.write(f"{line}\n")
    for title, every in measured(counted(sources.tracked())).items():
        lengths = sorted(function.lines for function in every) or [0]
        median = lengths[len(lengths) // 2]
        sys.stdout.write(
            f"shape: {title}: {len(every)} functions, median {median}, longest {lengths[-1]}, "
            f"{usual_share(every):.1%} within {USUAL_LINES} lines\n"
        )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
