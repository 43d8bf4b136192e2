"""The stage of the demo: the orders server in a process of its own, the gateway in this one, people and
rules.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any

import httpx2
from django.conf import settings

from approvals.database import in_database
from approvals.drafts import apply_text
from approvals.links import make_sign_in_link
from approvals.models import Person
from approvals.runtime import runtime
from gatewayproj.demo.issuer import ALICE, PEOPLE_ISSUER, Issuers, Somebody
from gatewayproj.demo.world import World
from gatewayproj.launcher import Launcher

CONNECTION = "orders-db"
TEMPLATE = Path(__file__).with_name("holdgate.yaml")
START_SECONDS = 20


class Stage:
    """What the demo's acts need: addresses, tokens, the API, the ledger of the orders server, and
    publishing.
    """

    def __init__(self, world: World, issuers: Issuers, orders: str) -> None:
        self.world = world
        self.issuers = issuers
        self.base = ""
        self._orders = orders
        self._http = httpx2.AsyncClient(timeout=30, trust_env=False)

    @property
    def endpoint(self) -> str:
        """Return the address that the pipeline is given instead of the server's own."""
        return f"{self.base}/mcp/{CONNECTION}"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ledger(self) -> dict[str, Any]:
        """Return what really reached the orders server."""
        answer: dict[str, Any] = (await self._http.get(f"{self._orders}/ledger")).json()
        return answer

    async def executed(self) -> int:
        """Return how many statements the orders server executed so far."""
        return len((await self.ledger())["statements"])

    async def api(self, path: str, token: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """GET, or POST a body, under `/api/v1/`; return status and JSON object."""
        url, headers = f"{self.base}/api/v1/{path}", {"Authorization": f"Bearer {token}"}
        if body is None:
            response = await self._http.get(url, headers=headers)
        else:
            response = await self._http.post(url, headers=headers, json=body)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        return response.status_code, answer if isinstance(answer, dict) else {}

    async def knock(self, token: str) -> tuple[int, dict[str, Any]]:
        """Send a first message to the endpoint with this token; return status and JSON object."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        response = await self._http.post(self.endpoint, headers=headers, json=message)
        return response.status_code, response.json()

    async def decide(self, approval_id: str, decision: str, token: str) -> tuple[int, dict[str, Any]]:
        """Approve or deny as whoever the token belongs to."""
        return await self.api(
            f"approvals/{approval_id}/decide/",
            token,
            {"decision": decision, "comment": "Decided in the demo."},
        )

    async def pending(self) -> dict[str, Any] | None:
        """Return the newest approval that waits for Alice, None when there is none."""
        _, answer = await self.api("approvals/?status=pending", self.issuers.person(ALICE))
        rows: list[dict[str, Any]] = answer.get("results") or []
        return rows[0] if rows else None

    async def publish(self, more_rules: str = "") -> int:
        """Bring the demo's rules into force, with these lines of YAML added; return the policy revision."""
        text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            people_keys=self.issuers.people_keys,
            ci_keys=self.issuers.ci_keys,
            orders_url=f"{self._orders}/mcp",
            more_rules=more_rules,
        )
        return (await in_database(lambda: apply_text(runtime(), text, author="demo"))).revision

    async def sign_in_link(self, somebody: Somebody) -> str:
        """Return an address that signs this person in, once."""

        def make() -> str:
            person = Person.objects.seen(
                iss=PEOPLE_ISSUER, sub=somebody.sub, email=somebody.email, display=somebody.name
            )
            return make_sign_in_link(person)

        return self.base + await in_database(make)

    async def verify(self, database_url: str = "") -> tuple[int, str]:
        """Run `manage.py verify` as anybody would; return its exit code and what it printed."""
        environ = {**os.environ, **({"DATABASE_URL": database_url} if database_url else {})}
        manage = Path(settings.BASE_DIR) / "manage.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(manage), "verify", env=environ, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode().strip()


@asynccontextmanager
async def stage(world: World, host: str, port: int) -> AsyncIterator[Stage]:
    """Set the stage for as long as the block lasts; the gateway listens there, on a free port when it is 0."""
    async with _orders_server(world) as orders:
        it = Stage(world, Issuers(world.folder), orders)
        launcher = Launcher(host=host, port=port)
        try:
            it.base = await launcher.start(before=lambda: _first_rules(it))
            yield it
        finally:
            await it.close()
            await launcher.stop()


async def _first_rules(it: Stage) -> None:
    await it.publish()


@asynccontextmanager
async def _orders_server(world: World) -> AsyncIterator[str]:
    """Run the orders server in a process and session of its own, so that Ctrl-C does not reach it
    before us.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gatewayproj.demo.orders_server",
        cwd=settings.BASE_DIR,
        env={**os.environ, "ORDERS_MCP_TOKEN": world.orders_token},
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{await _port(process)}"
    finally:
        await _end(process)


async def _port(process: Process) -> int:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    if not line.strip().isdigit():
        msg = "the orders server did not start"
        raise RuntimeError(msg)
    return int(line)


async def _end(process: Process) -> None:
    """Close its stdin, at which it ends; kill it only when it does not."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        process.kill()
        await process.wait()
