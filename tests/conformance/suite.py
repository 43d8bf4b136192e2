"""The official conformance suite, run against one address; and two runs of it compared, check by check."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import services

GUARD = 120.0
# What is run: the suite's package, and its arguments. The classic set is that of the last version without revisions.
SETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "2026-07-28": ("@modelcontextprotocol/conformance", ("--requirements", "2026-07-28")),
    "2025-11-25": ("@modelcontextprotocol/conformance", ("--requirements", "2025-11-25")),
    "classic": ("conformance-classic", ()),
}
# So many checks pass directly, at least: a suite that could not run would lose nothing either.
AT_LEAST = {"2026-07-28": 150, "2025-11-25": 75, "classic": 38}
PASSED, FAILED = "SUCCESS", "FAILURE"
_STAMP = re.compile(r"-\d{4}-\d{2}-\d{2}T.*\Z")


@dataclass(frozen=True, order=True)
class Check:
    """One check of a scenario; the suite makes some of them several times."""

    scenario: str
    id: str


@dataclass(frozen=True)
class Run:
    """What one run of a set found: how often each check ended how, and what it said of failures."""

    ended: Mapping[Check, Counter[str]]
    said: Mapping[Check, str]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(found[PASSED] for found in self.ended.values())

    @property
    def scenarios(self) -> set[str]:
        """The scenarios in which a check passed and none failed."""
        failed = {check.scenario for check, found in self.ended.items() if found[FAILED]}
        return {check.scenario for check, found in self.ended.items() if found[PASSED]} - failed


def run(name: str, url: str, token: str = "") -> Run:
    """Run a set against a server, as the caller of this token."""
    node = services.node_for_conformance()
    if node is None:
        services.missing("the conformance suite of tests/node with its Node.js", "HOLDGATE_REQUIRE_NODE")
    package, arguments = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        command = [node, "--import", "./authorize.mjs", f"node_modules/{package}/dist/index.js", "server"]
        done = subprocess.run(
            [*command, "--url", url, "--output-dir", folder, *arguments],
            cwd=services.NODE_PROJECT,
            env={"TOKEN": token or "none", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=GUARD,
            check=False,
        )
        found = _read(Path(folder))
    assert found.ended, done.stdout[-2000:] + done.stderr[-2000:]
    return found


def _read(folder: Path) -> Run:
    ended: dict[Check, Counter[str]] = {}
    said: dict[Check, str] = {}
    for file in folder.rglob("checks.json"):
        scenario = _STAMP.sub("", file.parent.name)
        for one in json.loads(file.read_text()):
            check = Check(scenario, one["id"])
            ended.setdefault(check, Counter())[one["status"]] += 1
            if one["status"] != PASSED and one.get("errorMessage"):
                said[check] = one["errorMessage"]
    return Run(ended, said)


def lost(direct: Run, through: Run) -> list[str]:
    """Return what passes directly and does not through the gateway, or fails there more often, a line for each."""
    found = []
    for check, before in sorted(direct.ended.items()):
        after = through.ended.get(check, Counter())
        if after[PASSED] < before[PASSED] or after[FAILED] > before[FAILED]:
            found.append(f"{check.scenario} {check.id}: {dict(before)} -> {dict(after)} {through.said.get(check, '')}")
    new = {check: ended for check, ended in through.ended.items() if check not in direct.ended and ended[FAILED]}
    return [
        *found,
        *(f"{check.scenario} {check.id}: new failure {through.said.get(check, '')}" for check in sorted(new)),
    ]
