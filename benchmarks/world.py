"""What a run needs around it: an installation of its own with a policy, an upstream, a pass-through and the load."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from benchmarks.child import Child, child, pin
from tests.agent import NAME
from tests.gateway import Gateway, installation
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.people import ALICE, CONNECTION, DAVE, config_yaml, register_people

ISSUER = "https://id.example.com"
UNMASKED, HELD, BEHIND = "unmasked", "held", "behind"
LOAD_CORE, TARGET_CORE = 0, 1
LOCAL_POSTGRESQL = "postgresql://postgres@127.0.0.1:5432/postgres"


@dataclass
class World:
    """Everything that runs. `dave` and `alice` are values of an Authorization field."""

    gateway: Gateway
    issuer: FakeIssuer
    upstream: Child
    bare: Child
    load: Child
    dave: str
    alice: str

    @property
    def gateway_pid(self) -> int:
        """The process that is measured."""
        assert self.gateway.process is not None
        return self.gateway.process.pid


def database_url(wanted: str) -> str:
    """Return PostgreSQL's address when it answers here and none was given, or "" for SQLite."""
    if wanted:
        return "" if wanted == "sqlite" else wanted
    try:
        psycopg.connect(LOCAL_POSTGRESQL, connect_timeout=2).close()
    except psycopg.OperationalError:
        return ""
    return LOCAL_POSTGRESQL


@contextlib.contextmanager
def fresh_installation(database: str) -> Iterator[Gateway]:
    """Give a folder and a database of this run alone; both are gone afterwards."""
    os.environ["DATABASE_URL"] = database
    with (
        tempfile.TemporaryDirectory(prefix="holdgate-bench-") as folder,
        installation(
            Path(folder),
            HOLDGATE_LOG_LEVEL="WARNING",
            HOLDGATE_MAX_HELD_PER_CALLER="0",
            HOLDGATE_LOGIN_CORP_CLIENT_ID=CLIENT_ID,
            HOLDGATE_LOGIN_CORP_CLIENT_SECRET=CLIENT_SECRET,
            BENCH_CREDENTIAL="upstream-" + "k" * 24,
        ) as gateway,
    ):
        yield gateway


@contextlib.contextmanager
def world(database: str) -> Iterator[World]:
    """Start the upstream, a bare pass-through, the real gateway and the load, each in a process of its own."""
    with (
        running_issuer() as issuer,
        fresh_installation(database) as gateway,
        child("benchmarks.upstream", core=LOAD_CORE) as upstream,
    ):
        url = upstream_url(upstream)
        gateway.configure(configuration(issuer.url, url))
        gateway.start()
        assert gateway.process is not None
        pin(gateway.process.pid, TARGET_CORE)
        with (
            child("benchmarks.passthrough", url, core=TARGET_CORE) as bare,
            child("benchmarks.load", core=LOAD_CORE) as load,
        ):
            register_people(issuer)
            yield World(gateway, issuer, upstream, bare, load, *bearers(issuer))


def upstream_url(upstream: Child) -> str:
    """Return the address of an upstream of the benchmarks."""
    return f"http://127.0.0.1:{upstream.hello['port']}/mcp"


def bearers(issuer: FakeIssuer) -> tuple[str, str]:
    """Return the Authorization fields of Dave, who calls, and of Alice, who decides."""
    return DAVE.bearer(issuer, lifetime=7200), ALICE.bearer(issuer, lifetime=7200)


def configuration(issuer: str, upstream: str) -> str:
    """Return the policy of the tests' cast with four connections to the upstream, one of them through an agent."""
    document: dict[str, Any] = yaml.safe_load(config_yaml(issuer, upstream))
    orders = document["connections"][CONNECTION]
    orders["credential"] = {"header": "Authorization", "prefix": "Bearer ", "value": "env:BENCH_CREDENTIAL"}
    document["connections"][UNMASKED] = {key: value for key, value in orders.items() if key != "credential"}
    approval = {"require": {"any_of": [{"groups": ["dba"], "count": 1}]}, "expires_after": "30m"}
    held = {"default": "hold", "default_approval": approval, "wait": {"default": "15m"}}
    document["connections"][HELD] = {**orders, **held, "url": upstream.replace("/mcp", "/held")}
    unsaid = {key: value for key, value in orders.items() if key not in {"url", "credential"}}
    document["connections"][BEHIND] = {**unsaid, "transport": "agent", "agent": NAME}
    for rule in document["masking"]:
        rule["connections"] = [CONNECTION, HELD, BEHIND]
    return json.dumps(document)  # JSON is YAML, and knows no aliases


def machine(database: str) -> str:
    """Return one line on what this was measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{cores} x {cpu}, {system}, {store(database)}, yardstick {yardstick():.2f} ms, load {load:.1f}"


def yardstick() -> float:
    """Return the milliseconds that a fixed loop takes at best: how fast Python runs here, to compare machines by."""
    best = float("inf")
    for _ in range(20):
        started, total = time.perf_counter(), 0
        for number in range(10_000):
            total += number * number
        best = min(best, time.perf_counter() - started)
    return best * 1000


def store(database: str) -> str:
    """Return what keeps the record, and whether its commits reach the disk."""
    if not database:
        return "SQLite (WAL, synchronous=FULL)"
    with psycopg.connect(database) as connection:
        settings = [_setting(connection, name) for name in ("server_version", "fsync", "synchronous_commit")]
    return "PostgreSQL {} (fsync {}, synchronous_commit {})".format(settings[0].split()[0], *settings[1:])


def _setting(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return "" if row is None else str(row[0])
