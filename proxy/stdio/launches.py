"""How the server of each connection is started, by the configuration in force; and where its complaints go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from approvals.config.stdio import is_reference
from approvals.stdio_commands import is_allowed
from proxy.errors import UpstreamUnavailable
from proxy.routes import Routes
from proxy.stdio.child import Launch, usual_environment
from proxy.stdio.remote import Address
from proxy.stdio.starts import MOST_STREAMS
from proxy.upstream_answer import Credential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.schema import Connection
    from approvals.publication import Policies
    from approvals.secrets import Secret
    from proxy.credentials import Credentials
    from proxy.stdio.starts import Start

log = logging.getLogger("holdgate.stdio")


class Launches:
    """Reads the policy. `commands` are those that the operator allows (see `approvals.stdio_commands`)."""

    def __init__(self, policies: Policies, credentials: Credentials, commands: Sequence[Sequence[str]]) -> None:
        self._policies = policies
        self._credentials = credentials
        self._commands = commands
        self._routes = Routes(credentials)

    async def of(self, name: str, revision: int) -> tuple[Start, bool]:
        """Return how the server of a connection is started or reached, and whether all callers share it. Raises Fault.

        `revision` is that of the policy which the gateway judged by: an older one in memory is read anew.
        """
        snapshot = self._policies.seen
        if snapshot is None or snapshot.revision < revision:
            snapshot = await self._policies.refreshed()
        connection = snapshot.policy.connection(name)
        if connection is None or not connection.is_kept:
            raise UpstreamUnavailable("The connection has no server that the runner keeps.")
        if connection.command is None:
            return await self._address(name, connection), False
        if not is_allowed(connection.command, self._commands):
            raise UpstreamUnavailable("The operator does not allow this command (HOLDGATE_STDIO_COMMANDS).")
        environment = await self._environment(connection)
        return (
            Launch(
                connection=name,
                command=connection.command,
                environment=tuple(sorted(environment.items())),
                limits=connection.limits,
                cwd=connection.cwd or "",
                longest=connection.max_answer,
            ),
            connection.shared,
        )

    async def _address(self, name: str, connection: Connection) -> Address:
        configured = connection.credential
        credential = None
        if configured is not None and configured.value is not None:
            secret = await self._credentials.resolve(configured.value)
            credential = Credential(header=configured.header, prefix=configured.prefix, secret=secret)
        return Address(
            connection=name,
            url=str(connection.url),
            credential=credential,
            route=await self._routes.of(connection),
            limits=connection.limits.model_copy(update={"children": MOST_STREAMS}),
            longest=connection.max_answer,
        )

    async def _environment(self, connection: Connection) -> dict[str, str]:
        """Return the whole environment of the server."""
        environment = usual_environment()
        for variable, value in connection.environment.items():
            if is_reference(value):
                value = (await self._credentials.resolve(value)).reveal()
            environment[variable] = value
        return environment

    def complain(self, name: str, line: str) -> None:
        """Log what a server wrote to standard error, masked as all that it says."""
        snapshot = self._policies.seen
        if snapshot is not None and line.strip():
            log.info("%s: %s", name, snapshot.outlet(name).text(line))

    def close(self) -> None:
        """Let go of what reads credentials."""
        self._credentials.close()


async def secrets_of(connection: Connection, credentials: Credentials) -> tuple[Secret, ...]:
    """Return the secrets that the server of a connection is given. Raises CredentialUnavailable."""
    references = [value for value in connection.environment.values() if is_reference(value)]
    return tuple([await credentials.resolve(reference) for reference in references])
