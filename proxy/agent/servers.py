"""The servers of an agent: each request goes to the one that its file names, with the credential that is here alone."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from approvals.config.stdio import is_reference
from approvals.secrets import Secret, Secrets
from proxy.agent import inside
from proxy.credentials import Credentials
from proxy.errors import Fault, UpstreamUnavailable
from proxy.routes import Routes
from proxy.stdio.child import Launch, usual_environment
from proxy.stdio.remote import Address
from proxy.stdio.server import Runner
from proxy.stdio.starts import MOST_STREAMS
from proxy.upstream import Upstream
from proxy.upstream_answer import Credential, UpstreamRequest

if TYPE_CHECKING:
    from proxy.agent.file import AgentFile, Server
    from proxy.stdio.starts import Start
    from proxy.tunnel.frames import Opening
    from proxy.upstream_answer import Opened

log = logging.getLogger("holdgate.agent")

_REFUSED = frozenset({401, 403})


@dataclass(slots=True)
class Health:
    """How a server fared: what was asked of it, and the reason of the last fault until something went well again."""

    calls: int = 0
    faults: int = 0
    failing: str = ""
    since: float = 0.0

    def shown(self) -> dict[str, Any]:
        """Return it as the gateway is told."""
        state = "failing" if self.failing else "ok" if self.calls else "unused"
        return {
            "state": state,
            "fault": self.failing,
            "since": int(self.since),
            "calls": self.calls,
            "faults": self.faults,
        }


class Servers:
    """Calls for one agent. Made once; used in one event loop; closed at the end."""

    def __init__(self, file: AgentFile) -> None:
        self.file = file
        commands = {name: list(words) for name, words in file.commands.items()}
        self.credentials = Credentials(Secrets(commands=commands))
        self.routes = Routes(self.credentials)
        self.health = {name: Health() for name in file.connections}
        self._upstream = Upstream()
        token = Secret(secrets.token_urlsafe(32))
        self._shown = (b"authorization", f"Bearer {token.reveal()}".encode())
        self._runner = Runner(_Launches(self), token, self._upstream)

    async def open(self, opening: Opening, body: bytes) -> Opened:
        """Ask a server and return its answer when the head of it has come. Raises faults."""
        server = self.file.connections.get(opening.connection)
        if server is None:
            raise UpstreamUnavailable("The agent has no server of this name in its file.")
        health = self.health[opening.connection]
        health.calls += 1
        try:
            opened = await (self._kept if server.is_kept else self._over_http)(opening, server, body)
        except Fault as fault:
            self.failed(opening.connection, fault.reason)
            raise
        if opened.status in _REFUSED:
            self.failed(opening.connection, "credential_unavailable")
            if server.credential is not None and server.credential.value is not None:
                self.credentials.forget(server.credential.value)  # it was probably rotated
        elif opened.status >= 500:
            self.failed(opening.connection, "upstream_invalid")
        else:
            health.failing = ""
        return opened

    def failed(self, connection: str, reason: str) -> None:
        """Note a fault of a server."""
        health = self.health[connection]
        health.faults += 1
        if not health.failing:
            health.since = time.time()
            log.warning("%s fails: %s", connection, reason)
        health.failing = reason

    async def credential(self, server: Server) -> Credential | None:
        """Return what shows the agent to a server. Raises CredentialUnavailable."""
        configured = server.credential
        if configured is None or configured.value is None:
            return None
        secret = await self.credentials.resolve(configured.value)
        return Credential(header=configured.header, prefix=configured.prefix, secret=secret)

    async def _over_http(self, opening: Opening, server: Server, body: bytes) -> Opened:
        request = UpstreamRequest(
            url=str(server.url),
            body=body,
            verb=opening.verb,  # type: ignore[arg-type] # one of three, see `Opening.read`
            headers=_raw(opening.headers),
            session=opening.session,
            last_event_id=opening.last_event_id,
            credential=await self.credential(server),
            timeout=None,  # the gateway keeps the time
            route=await self.routes.of(server),
        )
        return await self._upstream.open(request)

    async def _kept(self, opening: Opening, _server: Server, body: bytes) -> Opened:
        fields = [*_raw(opening.headers), *_raw(opening.fields), self._shown]
        if opening.session is not None:
            fields += _raw((("mcp-session-id", opening.session),))
        return await inside.ask(self._runner, opening.verb, f"/{opening.connection}", fields, body)

    async def aclose(self) -> None:
        """End every program, and close every connection."""
        await self._runner.aclose()
        await self._upstream.aclose()
        self.credentials.close()


class _Launches:
    """How the programs of the file are started, and its standing streams opened."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def of(self, name: str, _revision: int) -> tuple[Start, bool]:
        """Return how a server is started or reached, and whether all callers share it. Raises faults."""
        server = self._servers.file.connections[name]
        if server.command is None:
            address = Address(
                connection=name,
                url=str(server.url),
                credential=await self._servers.credential(server),
                route=await self._servers.routes.of(server),
                limits=server.limits.model_copy(update={"children": MOST_STREAMS}),
                longest=server.max_answer,
            )
            return address, False
        environment = usual_environment()
        for variable, value in server.environment.items():
            resolved = (await self._servers.credentials.resolve(value)).reveal() if is_reference(value) else value
            environment[variable] = resolved
        launch = Launch(
            connection=name,
            command=server.command,
            environment=tuple(sorted(environment.items())),
            limits=server.limits,
            cwd=server.cwd or "",
            longest=server.max_answer,
        )
        return launch, server.shared

    def complain(self, name: str, line: str) -> None:
        """Log what a program wrote to standard error."""
        if line.strip():
            log.info("%s: %s", name, line)

    def close(self) -> None:
        """Nothing is held here."""


def _raw(fields: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields]
