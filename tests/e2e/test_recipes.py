"""Every recipe of docs/recipes.md that can be run here is run as it stands there, against a real gateway."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import people, services
from tests.blocks import connection, one_dba, spelled_out
from tests.gateway import ROOT
from tests.house import pages
from tests.issuer import FakeIssuer
from tests.people import AGENT, CI, CONNECTION
from tests.upstream import FakeUpstream, running
from tests.world import Speaker, World, until, world

pytestmark = pytest.mark.promise("unchanged-clients")

RECIPES = pages.text_of("recipes.md")
TOOL = "delete_orders"
GUARD = 60.0


def recipe(heading: str, language: str) -> str:
    """Return the first block of a language under a heading."""
    return next(pages.blocks_of(pages.section(RECIPES, f"### {heading}"), language))


@pytest.fixture(scope="module")
def place(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway before a server that has the tool of the recipes, which a rule holds."""
    rules = [{"name": "deletes", "action": "hold", "match": {"tools": [TOOL]}, "approval": one_dba()}]
    with running() as upstream:
        upstream.tools.append({"name": TOOL, "inputSchema": {"type": "object"}})
        blocks = {"connections": {CONNECTION: connection(upstream.url)}, "rules": rules}
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        with world(tmp_path_factory.mktemp("recipes"), issuer, {CONNECTION: upstream}, text) as made:
            made.start()
            yield made
            made.gateway.stop()


def begin(
    here: World, command: list[str], who: Speaker = CI, *, cwd: Path = ROOT, more: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a program as a step of a pipeline does: with the address, and a token unless the recipe finds its own."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"HOLDGATE_URL": here.gateway.url, "PATH": path, "NO_PROXY": "*"}
    token = {} if more else {"HOLDGATE_TOKEN": who.token(here.issuer)}
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**own, **token, **(more or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shell(script: str) -> list[str]:
    return [shutil.which("bash") or "sh", "-ec", script]


def decided(here: World, step: subprocess.Popen[str], verb: str = "approve") -> tuple[int, str, str]:
    """Decide about the one call that waits, and return exit code, stdout and stderr of the program."""
    upstream: FakeUpstream = here.upstream
    before = upstream.executions[TOOL]

    def waiting() -> list[str]:
        assert step.poll() is None, step.communicate()
        rows = here.api(people.GRACE, "GET", "approvals/?status=pending").json()["results"]
        return [row["id"] for row in rows if row["tool"] == TOOL]

    (approval,) = until(waiting, "the held call")
    assert upstream.executions[TOOL] == before
    assert here.decide(approval, verb, comment="looked at it").status_code == 200
    out, err = step.communicate(timeout=GUARD)
    assert upstream.executions[TOOL] == before + (verb == "approve"), (out, err)
    return step.returncode, out, err


def test_the_github_step_gets_its_own_token_and_waits(place: World) -> None:
    job = yaml.safe_load(recipe("GitHub Actions", "yml"))["jobs"]["clean-up"]
    assert job["permissions"] == {"id-token": "write"}
    with token_service(CI.token(place.issuer)) as address:
        found = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": address,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner",
            "GITHUB_REF_NAME": "main",
        }
        step = begin(place, shell(job["steps"][-1]["run"]), more=found)
        code, _, err = decided(place, step)

    assert code == 0, err
    assert "who decides: 1 of dba" in err


@contextlib.contextmanager
def token_service(token: str) -> Iterator[str]:
    """What a runner of GitHub offers a job for its identity token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = (self.headers["Authorization"], "audience=" in self.path)
            body = json.dumps({"value": token}).encode()
            self.send_response(200 if asked == ("Bearer runner", True) else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token?api-version=2.0"
        server.shutdown()


def test_the_gitlab_step_finds_its_token_and_waits(place: World) -> None:
    job = yaml.safe_load(recipe("GitLab CI", "yml"))["clean-up"]
    (name,) = job["id_tokens"]
    script = shell(job["script"][-1])
    found = {"CI_COMMIT_REF_NAME": "main", name: CI.token(place.issuer)}

    code, _, err = decided(place, begin(place, script, more=found))

    assert code == 0, err


def test_the_jenkins_step_reads_its_token_from_the_file_and_waits(place: World, tmp_path: Path) -> None:
    found = re.search(r"sh '''\n(.*?)'''", recipe("Jenkins", "groovy"), re.DOTALL)
    assert found is not None
    token = tmp_path / "token"
    token.write_text(CI.token(place.issuer), encoding="ascii")

    step = begin(place, shell(found[1]), more={"JOB_NAME": "clean-up", "HOLDGATE_TOKEN_FILE": str(token)})

    assert decided(place, step)[0] == 0


def test_the_command_of_the_kubernetes_job_waits(place: World) -> None:
    job = yaml.safe_load(recipe("Kubernetes", "yml"))
    (container,) = job["spec"]["template"]["spec"]["containers"]

    assert decided(place, begin(place, container["command"]))[0] == 0


@pytest.fixture
def curl() -> None:
    """Skip where there is no curl, or nothing that reads its answers."""
    for program in ("curl", "jq"):
        shutil.which(program) or services.missing(program, "HOLDGATE_REQUIRE_CURL")


@pytest.mark.usefixtures("curl")
def test_curl_waits_in_silence(place: World) -> None:
    code, out, _ = decided(place, begin(place, shell(recipe("curl", "sh"))))

    assert (code, json.loads(out)["result"]["isError"]) == (0, False)


@pytest.mark.usefixtures("curl")
@pytest.mark.parametrize(("who", "verb", "code"), [(CI, "approve", 0), (AGENT, "deny", 1)])
def test_a_shell_asks_polls_and_collects(place: World, who: Speaker, verb: str, code: int) -> None:
    step = begin(place, shell(recipe("Ask, poll, collect", "sh")), who)

    ended, out, err = decided(place, step, verb)

    assert ended == code, (out, err)
    assert "waiting for" in err
    assert ("DENIED BY A PERSON" in out) is (verb == "deny")


def test_the_program_with_the_python_sdk_waits(place: World) -> None:
    step = begin(place, [sys.executable, "-c", recipe("Python SDK", "python")])

    assert decided(place, step)[0] == 0


@pytest.mark.needs_node
def test_the_program_with_the_typescript_sdk_waits_and_hears_who_decides(place: World) -> None:
    node = services.node()
    if node is None:
        services.missing("Node.js with the packages of tests/node", "HOLDGATE_REQUIRE_NODE")
    program = [node, "--input-type=module", "--eval", recipe("TypeScript SDK", "js")]

    code, _, err = decided(place, begin(place, program, cwd=services.NODE_PROJECT))

    assert (code, "Waiting for approval" in err) == (0, True), err


@pytest.mark.parametrize("heading", ["FastMCP", "OpenAI Agents SDK", "LangChain adapters"])
def test_the_other_programs_are_python(heading: str) -> None:
    compile(recipe(heading, "python"), heading, "exec")


@pytest.mark.parametrize("heading", ["Claude Code", "Cursor", "VS Code"])
def test_every_editor_has_the_connection_and_the_gateways_own_tools(heading: str) -> None:
    document: Mapping[str, Any] = json.loads(recipe(heading, "json"))
    servers = document.get("servers") or document["mcpServers"]

    assert [server["url"].rpartition("/")[2] for server in servers.values()] == [CONNECTION, "gateway"]
    assert all(server["headers"]["Authorization"].startswith("Bearer ${") for server in servers.values())


@pytest.mark.promise("nothing-lost")
def test_the_record_tells_the_same_story(place: World) -> None:
    place.assert_history()
