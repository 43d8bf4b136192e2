"""`python -m benchmarks.clients`: what real clients do while people decide, and how often their call is executed.

Each client is installed in an environment of its own, below that of the peers. One gateway on SQLite holds their calls,
on a connection as it comes, on a patient one, and for those of the older era on one whose answers are short; each is
approved after 10 s, 70 s or 6 minutes, by the API. All wait at the same time, so that a run takes eight minutes. It
prints the table of docs/clients.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.peers import NotHere, environment
from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import running_issuer
from tests.people import CONNECTION, Program
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, world

DELAYS = (10.0, 70.0, 360.0)
AFTER = 90.0  # within which a client has its result once it was approved, also by another attempt
BETWEEN = 4.0
PATIENT = "patient"
SHORT = "in short answers"  # for clients who take up a stream again
NPM = {
    "@modelcontextprotocol/sdk": "1.32.2",
    "@modelcontextprotocol/client": "2.4.0",
    "@modelcontextprotocol/inspector": "2.12.0",
    "mcp-remote": "0.15.1",
    "node": "22",
}
HERE = ROOT / "benchmarks"


@dataclass(frozen=True)
class Client:
    """A client: its name in the table, the command that runs it, and what that needs in its environment."""

    name: str
    command: Callable[[], list[str]]
    env: Callable[[], dict[str, str]] = dict
    polls: bool = False  # it speaks 2025-11-25, whose streams can be taken up again

    @property
    def places(self) -> tuple[str, ...]:
        """The connections on which it calls."""
        return (CONNECTION, PATIENT, *((SHORT,) if self.polls else ()))


@dataclass
class Job:
    """One call of one client: what it saw, attempt by attempt."""

    client: Client
    delay: float
    connection: str
    mark: str = field(default_factory=marker)
    attempts: list[tuple[float, str]] = field(default_factory=list)
    approvals: int = 0

    @property
    def has_result(self) -> bool:
        """Whether the last attempt brought the result."""
        return bool(self.attempts) and self.attempts[-1][1].startswith("result")


def _npm() -> Path:
    """Return the folder in which the npm packages are; install them where they are missing. Raises NotHere."""
    base = os.environ.get("HOLDGATE_BENCH_ENVS") or str(Path.home() / ".cache" / "holdgate-bench")
    folder = Path(base) / "npm-clients"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".installed").exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        wanted = [f"{name}@{version}" for name, version in NPM.items()]
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", *wanted]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"npm: {done.stderr.strip()[-200:]}")
        (folder / ".installed").touch()
    return folder


def _node() -> str:
    """Return the Node.js that came with the packages: the Inspector needs 22."""
    folder = _npm() / "node_modules"
    found = next(folder.glob("node-*/bin/node"), None) or next(folder.glob("node/bin/node"), None)
    if found is None:
        raise NotHere("the Node.js of npm's package is not there")
    return str(found)


def _python(requirement: str, kind: str) -> Callable[[], list[str]]:
    return lambda: [str(environment(requirement, True)), str(HERE / "client_python.py"), kind]


def _script(kind: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        # Node.js looks for packages from where the program lies.
        program = shutil.copy(HERE / "client_node.mjs", _npm())
        return [_node(), str(program), kind]

    return command


def _program(kind: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, str(HERE / "client_commands.py"), kind]


def _packed(name: str, path: str) -> Callable[[], dict[str, str]]:
    return lambda: {name: json.dumps([_node(), str(_npm() / "node_modules" / path)])}


_V1, _V2 = f"TypeScript SDK {NPM['@modelcontextprotocol/sdk']}", f"TypeScript SDK {NPM['@modelcontextprotocol/client']}"
CLIENTS = (
    Client("Python SDK 1.30.0", _python("mcp==1.30.0", "sdk-1"), polls=True),
    Client("Python SDK 2.3.0", _python("mcp==2.3.0", "sdk-2")),
    Client("FastMCP 4.1.2", _python("fastmcp==4.1.2", "fastmcp")),
    Client("LangChain adapters 0.3.2", _python("langchain-mcp-adapters==0.3.2", "langchain"), polls=True),
    Client("OpenAI Agents SDK 0.24.0", _python("openai-agents==0.24.0", "agents")),
    Client("OpenAI Agents SDK 0.24.0, no limit", _python("openai-agents==0.24.0", "agents-patient")),
    Client(_V1, _script("v1"), polls=True),
    Client(f"{_V1}, progress", _script("v1-progress"), polls=True),
    Client(_V2, _script("v2"), polls=True),
    Client(f"{_V2}, `mode: 'auto'`", _script("modern")),
    Client(f"{_V2}, `mode: 'auto'`, progress", _script("modern-progress")),
    Client(f"MCP Inspector {NPM['@modelcontextprotocol/inspector']}", _program("inspector"),
           _packed("INSPECTOR", "@modelcontextprotocol/inspector/clients/launcher/build/index.js"), polls=True),
    Client(f"mcp-remote {NPM['mcp-remote']}", _python("mcp==2.3.0", "remote"),
           _packed("REMOTE", "mcp-remote/dist/proxy.js")),
    Client("curl", _program("curl")),
)  # fmt: skip


@contextlib.contextmanager
def _gateway() -> Iterator[World]:
    with (
        running_issuer() as issuer,
        running() as upstream,
        running(sessions=True) as with_sessions,
        tempfile.TemporaryDirectory(prefix="holdgate-clients-") as folder,
    ):
        people.register_people(issuer)
        connections = {
            CONNECTION: connection(upstream.url),
            PATIENT: connection(upstream.url, wait={"default": "10m"}),
            _named(SHORT): connection(with_sessions.url, wait={"default": "10m", "stream": "50s"}),
        }
        groups = {"dba": {"members": [people.ALICE.email]}, "platform": {"members": ["root@example.com"]}}
        rules = [word_rule("held", "hold", r"\bdelete\b", approval=one_dba())]
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, groups=groups, rules=rules))
        env = {"HOLDGATE_MAX_HELD_PER_CALLER": "0", "HOLDGATE_LOG_LEVEL": "WARNING"}
        with world(Path(folder), issuer, {CONNECTION: upstream, _named(SHORT): with_sessions}, text, **env) as here:
            here.claims = {"lifetime": 7200}
            here.start()
            yield here
            here.gateway.stop()


def _named(place: str) -> str:
    """Return the name of a connection, as addresses have it."""
    return place.replace(" ", "-")


def _begin(here: World, client: Client, jobs: Sequence[Job]) -> subprocess.Popen[str]:
    """Start a client with its calls; what it says is noted by a thread. Raises NotHere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = {**kept, "NO_PROXY": "127.0.0.1", **client.env()}
    process = subprocess.Popen(
        client.command(), env=env, cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    by_mark = {job.mark: job for job in jobs}

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError, KeyError):
                told = json.loads(line)
                by_mark[told["marker"]].attempts.append((told["seconds"], told["saw"]))

    threading.Thread(target=read, daemon=True).start()
    assert process.stdin is not None
    for job in jobs:
        arguments = {"sql": "delete from orders", "marker": job.mark}
        # An agent of its own, so that none of them can end a call of another.
        token = Program(f"agent-{job.mark}").token(here.issuer, lifetime=7200)
        told = {"url": f"{here.gateway.url}/mcp/{_named(job.connection)}", "token": token, "arguments": arguments}
        process.stdin.write(json.dumps(told) + "\n")
    process.stdin.close()
    return process


def _decide(here: World, jobs: Sequence[Job], missing: Mapping[str, str]) -> None:
    """Approve each call when its time has come, whichever requests wait for it then; wait until all have results."""
    waiting: dict[str, float] = {}  # since when a call is seen to wait
    end = time.monotonic() + max(job.delay for job in jobs) + 2 * AFTER
    while time.monotonic() < end and not all(job.has_result or job.client.name in missing for job in jobs):
        pending = here.api(people.GRACE, "GET", "approvals/?status=pending&limit=200").json()["results"]
        for one in pending:
            waiting.setdefault(one["arguments"]["marker"], time.monotonic())
        for job in jobs:
            asked = [one["id"] for one in pending if one["arguments"]["marker"] == job.mark]
            if asked and time.monotonic() - waiting[job.mark] >= job.delay:
                for approval in asked:
                    job.approvals += here.decide(approval, "approve").status_code == 200
        time.sleep(0.5)


def _seen(job: Job) -> str:
    """Say in a few words what the user of a client saw of a call."""
    if not job.attempts:
        return "no word"
    seconds, saw = job.attempts[0]
    word = saw.partition(":")[0]
    if word == "error":
        word = f"`{saw.partition(': ')[2].partition(chr(10))[0][:60].replace('|', ' ')}`"
    if len(job.attempts) == 1:
        return f"{word} after {seconds:.0f} s"
    ending = f"result with call {len(job.attempts)}" if job.has_result else f"no result in {len(job.attempts)} calls"
    return f"{word} after {seconds:.0f} s, {ending}"


def _revision(upstreams: Iterable[FakeUpstream], mark: str) -> str:
    calls = (one for upstream in upstreams for one in upstream.requests)
    seen = next((one for one in calls if mark.encode() in one.body), None)
    found = [value.decode() for name, value in seen.headers if name == b"mcp-protocol-version"] if seen else []
    return found[0] if found else "–"


def measure(delays: Sequence[float], only: str) -> list[str]:
    """Run all clients whose names hold this word, and return the rows of the table."""
    chosen = [client for client in CLIENTS if only.lower() in client.name.lower()]
    jobs = [Job(client, delay, where) for client in chosen for delay in delays for where in client.places]
    missing: dict[str, str] = {}
    with _gateway() as here, contextlib.ExitStack() as stack:

        def begin() -> None:
            for client in chosen:
                try:
                    process = _begin(here, client, [job for job in jobs if job.client is client])
                except NotHere as why:
                    missing[client.name] = str(why)
                    continue
                stack.callback(process.wait)
                stack.callback(process.kill)
                # One after the other, so that starting does not look like waiting.
                time.sleep(BETWEEN)

        beginning = threading.Thread(target=begin)
        beginning.start()
        _decide(here, jobs, missing)
        beginning.join()
        rows = [row for client in chosen if client.name not in missing for row in _rows(here, client, jobs)]
    return rows + [f"| {name} | not run: {why} |" for name, why in missing.items()]


def _rows(here: World, client: Client, jobs: Sequence[Job]) -> Iterator[str]:
    """Give a row for each connection: what was seen after each delay, and how often each of these was executed."""
    upstreams = list(here.upstreams.values())
    for where in client.places:
        own = [job for job in jobs if job.client is client and job.connection == where]
        executed = ", ".join(str(sum(upstream.markers[job.mark] for upstream in upstreams)) for job in own)
        place = "as it comes" if where == CONNECTION else where
        cells = [client.name, _revision(upstreams, own[0].mark), place, *map(_seen, own), executed]
        yield f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> int:
    """Run, print, and return 0. The first argument chooses clients by a word, others are delays in seconds."""
    only = arguments[0] if arguments else ""
    delays = tuple(float(one) for one in arguments[1:]) or DELAYS
    rows = measure(delays, only)
    columns = ["client", "revision", "connection", *(f"decided after {delay:.0f} s" for delay in delays), "executed"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
