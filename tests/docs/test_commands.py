"""Every command that the documentation shows is run as it stands there, or by the test that its fence names.

What a fence of `sh` says beside its language (GitHub does not show it):

    (nothing)          run here, in the folder in which the tutorial works, and ends with 0
    exits=N            the same, and ends with N
    starts             a server: run here until the end
    tested=tests/…     run by that test, which names the page
    elsewhere          cannot be run here (another machine, a company's own service): its grammar is looked at
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import services
from tests.gateway import ROOT
from tests.house import pages
from tests.servers import free_port

GUARD, READY = 300.0, 300.0
TUTORIAL = pages.DOCS / "tutorial.md"


@dataclass(frozen=True)
class Block:
    """A block of a shell as it stands on a page."""

    page: str
    words: tuple[str, ...]
    text: str
    number: int = 0

    def word(self, name: str) -> str:
        """Return what stands behind `name=`; empty when it is not there."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), "")

    @property
    def is_run_here(self) -> bool:
        return "elsewhere" not in self.words and not self.word("tested")

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def _blocks(page: Path) -> list[Block]:
    found = pages.fenced(page.read_text(encoding="utf-8"))
    shown = ((words, text) for language, words, text in found if language == "sh")
    return [Block(pages.name_of(page), tuple(words), text, at) for at, (words, text) in enumerate(shown, 1)]


EVERY = [block for page in pages.PAGES for block in _blocks(page)]
# The tutorial goes through its own blocks in their order. Of those elsewhere one that stands on two pages runs once.
OTHERS = list({block.text: block for block in EVERY if block.is_run_here and block.page != "tutorial.md"}.values())


class Place:
    """The folder in which somebody follows the tutorial, with the repository in it, and what was started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"8000": str(free_port()), "9000": str(free_port())}
        self.servers: list[subprocess.Popen[bytes]] = []
        self.exports = ""  # what was exported so far in the terminal of the calls
        for name in ("manage.py", "docs", "proxy"):
            (folder / name).symlink_to(ROOT / name)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    def here(self, text: str) -> str:
        """Return a text with free ports in the place of the usual ones."""
        text = text.replace("notes_server.py", f"notes_server.py {self.ports['9000']}")
        return re.sub(r"(127\.0\.0\.1:|--port )(8000|9000)", lambda found: found[1] + self.ports[found[2]], text)

    def _command(self, block: Block) -> list[str]:
        return [shutil.which("bash") or "bash", "-euc", self.exports + self.here(block.text)]

    @property
    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "HOLDGATE_STATE_DIR": str(self.folder / ".holdgate"), "NO_PROXY": "*"}

    def write(self, name: str, text: str) -> None:
        """Write a file as a page shows it."""
        (self.folder / name).write_text(self.here(text), encoding="utf-8")

    def run(self, block: Block) -> str:
        """Run a block, look at its exit code, and return what it said."""
        command = self._command(block)
        done = subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=GUARD)
        assert done.returncode == int(block.word("exits") or 0), (block.text, done.stdout, done.stderr)
        return done.stdout

    def start(self, block: Block, port: str) -> None:
        """Start a server and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(self._command(block), cwd=self.folder, env=self._env, stdout=log, stderr=log)
        self.servers.append(server)
        deadline = time.monotonic() + READY
        while not services.answers(("127.0.0.1", int(self.ports[port]))):
            assert server.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"nothing listens: {block.text}"
            time.sleep(0.1)

    def end(self) -> None:
        """End what was started."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.wait(GUARD)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, list[str]]]:
    """Somebody who follows the tutorial from its beginning to its end; what each of the commands said."""
    if shutil.which("curl") is None:
        services.missing("curl", "HOLDGATE_REQUIRE_CURL")
    place = Place(tmp_path_factory.mktemp("tutorial"))
    heard: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.callback(place.end)
        for language, words, text in pages.fenced(TUTORIAL.read_text(encoding="utf-8")):
            block = Block("tutorial.md", tuple(words), text)
            if language == "yaml" and "version" in text:
                entry = next(one for one in heard if "issuer:" in one)
                place.write("holdgate.yaml", re.sub(r"(?<=issuers:\n)  - .*\n.*\n", lambda _: entry, text))  # noqa: B023
            elif language == "sh" and "starts" in words:
                place.start(block, "9000" if "notes_server" in text else "8000")
            elif language == "sh" and block.is_run_here:
                heard.append(place.run(block))
                place.exports += "".join(re.findall(r"^export .*\n", place.here(text), re.MULTILINE))
        place.exports = ""
        yield place, heard


def test_the_tutorial_leads_where_it_says(said: tuple[Place, list[str]]) -> None:
    _, heard = said
    everything = "\n".join(heard)

    assert "Call Ada, [email]" in everything
    assert "Note 2 is gone." in everything
    assert re.search(r"^verified \d+ entries", everything, re.MULTILINE)


@pytest.mark.parametrize("block", [block for block in OTHERS if "starts" not in block.words], ids=str)
def test_a_command_does_what_its_page_shows(block: Block, said: tuple[Place, list[str]]) -> None:
    place, _ = said
    program = block.text.split()[0]
    if program in {"openssl", "cd"} and shutil.which("openssl") is None:
        services.missing("openssl", "HOLDGATE_REQUIRE_OPENSSL")

    place.run(block)


@pytest.mark.parametrize("block", EVERY, ids=str)
def test_every_command_is_well_formed(block: Block) -> None:
    done = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, timeout=GUARD)

    assert (done.returncode, done.stderr) == (0, "")
    assert set(block.words) <= {"elsewhere", "starts"} or block.word("tested") or block.word("exits")


@pytest.mark.parametrize("block", [block for block in EVERY if block.word("tested")], ids=str)
def test_the_test_that_a_fence_names_knows_the_page(block: Block) -> None:
    assert block.page.rpartition("/")[2] in (ROOT / block.word("tested")).read_text(encoding="utf-8")


def test_a_server_that_is_started_is_started_by_the_tutorial_as_well() -> None:
    started = {block.text for block in EVERY if "starts" in block.words}

    assert started <= {block.text for block in EVERY if block.page == "tutorial.md"}
