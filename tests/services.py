"""What may stand around the tests: PostgreSQL, Redis, a Chromium, Node.js. Looked for, never started."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

POSTGRESQL = ("127.0.0.1", 5432)
REDIS = ("127.0.0.1", 6379)
PROBE_SECONDS = 0.3

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without the background switches a Chromium in a closed network keeps asking for its maker's hosts.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
NODE_PROJECT = Path(__file__).parent / "node"


def answers(address: tuple[str, int]) -> bool:
    """Return whether something accepts a TCP connection there within 0.3 seconds."""
    try:
        socket.create_connection(address, timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def chromium() -> str | None:
    """Return the program file of an installed Chromium, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def node() -> str | None:
    """Return the program file of Node.js when the packages of tests/node are installed too, or None."""
    return shutil.which("node") if (NODE_PROJECT / "node_modules").is_dir() else None


def node_for_conformance() -> str | None:
    """Return the program file of the newer Node.js that is installed with the conformance suite, or None."""
    return next(map(str, (NODE_PROJECT / "node_modules").glob("node-*/bin/node")), None)


def axe() -> Path | None:
    """Return the script of axe-core when the packages of tests/node are installed, or None."""
    script = NODE_PROJECT / "node_modules" / "axe-core" / "axe.min.js"
    return script if script.is_file() else None


def missing(what: str, requirement: str) -> NoReturn:
    """Skip the test for the lack of `what`; fail it where the environment demands it (`requirement=1`)."""
    if os.environ.get(requirement) == "1":
        pytest.fail(f"{what} is missing and {requirement}=1", pytrace=False)
    pytest.skip(f"{what} is missing")
