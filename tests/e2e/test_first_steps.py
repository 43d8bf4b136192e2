"""The steps of README.md to one's own server, as a newcomer types them: issuer, server, call, decision."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway import ROOT, Gateway, installation
from tests.house import pages
from tests.servers import free_port

GUARD = 60.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway with the README's configuration, but for the ports and the issuer that the example prints."""
    folder: Path = tmp_path_factory.mktemp("first-steps")
    entry = _run("docs/examples/issuer.py", str(folder / "try"))
    port = free_port()
    text = next(pages.blocks(pages.README, "yaml")).replace(":9000/", f":{port}/")
    text = re.sub(r"(?<=issuers:\n)  - .*\n", lambda _: entry, text)
    server = subprocess.Popen([sys.executable, "docs/examples/notes_server.py", str(port)], cwd=ROOT)
    try:
        with installation(folder) as gateway:
            gateway.configure(text)
            gateway.start()
            yield gateway
    finally:
        server.terminate()
        server.wait(GUARD)


def _run(script: str, *arguments: str) -> str:
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=GUARD, check=True).stdout


def _call(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    gateway.environment = {
        "HOLDGATE_URL": gateway.url,
        "HOLDGATE_TOKEN_FILE": str(gateway.folder / "try" / "pipeline.token"),
    }
    return gateway.manage("call", "notes", *arguments, check=False)


@pytest.mark.promise("masked-everywhere")
def test_the_first_call_is_answered_and_masked(gateway: Gateway) -> None:
    done = _call(gateway, "read_notes")

    assert (done.returncode, "Call Ada, [email]" in done.stdout) == (0, True), done.stderr


@pytest.mark.promise("bound-decision")
def test_a_delete_waits_and_runs_after_the_decision(gateway: Gateway) -> None:
    asked = _call(gateway, "delete_note", "--args", '{"number": 2}', "--wait", "0")
    found = re.search(r"approval ([0-9a-f-]{36})", asked.stderr, re.IGNORECASE)
    assert (asked.returncode, bool(found)) == (4, True), asked.stderr
    assert found is not None
    token = (gateway.folder / "try" / "alice.token").read_text(encoding="ascii")

    decided = httpx.post(
        f"{gateway.url}/api/v1/approvals/{found[1]}/decide/",
        headers={"Authorization": f"Bearer {token}"},
        json={"decision": "approve"},
        timeout=GUARD,
        trust_env=False,
    )
    done = _call(gateway, "delete_note", "--args", '{"number": 2}')

    assert decided.status_code == 200, decided.text
    assert (done.returncode, done.stdout) == (0, "Note 2 is gone.\n"), done.stderr
