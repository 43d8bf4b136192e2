"""The file of an agent: to which gateway it dials, who it is there, and which servers it serves."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationError, model_validator

from approvals import addresses
from approvals.config.credential import Credential
from approvals.config.identity import web_address
from approvals.config.problems import ConfigError, Problem, schema_problems
from approvals.config.reaching import Networks, Proxy, ServerAddress, Tls
from approvals.config.reading import read
from approvals.config.stdio import Command, Environment, Folder, Limits
from approvals.config.values import Flag, Line, Name, Reference, Size, Strict, problem
from approvals.origins import LOOPBACK

PATH = "/ws/agent/"
_COMMAND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_OF_HTTP = ("url", "credential", "networks", "tls", "proxy", "protocol")
_OF_STDIO = ("command", "environment", "cwd", "shared", "limits")


def _readable(value: str) -> str:
    if value.startswith("vault:"):
        raise problem("must be env:NAME, file:/PATH or exec:NAME: an agent asks no Vault by itself")
    return value


def _command_name(value: str) -> str:
    if not _COMMAND_NAME.match(value):
        raise problem("must be a name such as `vault-cli`")
    return value


AgentReference = Annotated[Reference, AfterValidator(_readable)]


class Server(Strict):
    """One MCP server, by the name of its connection at the gateway. Sizes are bytes."""

    transport: Literal["http", "stdio"] = "http"
    url: ServerAddress | None = None
    protocol: Literal["2024-11-05"] | None = None
    networks: Networks | None = None
    tls: Tls | None = None
    proxy: Proxy | None = None
    credential: Credential | None = None
    command: Command | None = None
    environment: Environment = {}
    cwd: Folder | None = None
    shared: Flag = False
    limits: Limits = Limits()
    max_answer: Size = 32 << 20

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed, others = ("command", _OF_HTTP) if self.transport == "stdio" else ("url", _OF_STDIO)
        if getattr(self, needed) is None:
            raise problem("is required", needed)
        for key in others:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise problem(f"is not for transport {self.transport}", key)
        if self.credential is not None and self.credential.value is None:
            raise problem("is for connections without an agent: say `value`", "credential.oauth")
        for reference in (self.credential.value if self.credential else None, *self.environment.values()):
            _readable(reference or "")
        return self

    @property
    def is_kept(self) -> bool:
        """Say whether the agent keeps it: a program, or a stream that stands for as long as a session."""
        return self.transport == "stdio" or self.protocol is not None

    @cached_property
    def narrowed(self) -> addresses.Networks | None:
        """What may be dialled for this server alone; None: whatever is not forbidden to all."""
        if self.networks is None:
            return None
        return addresses.Networks.read(self.networks, said_by="`networks` of the server")


class AgentFile(Strict):
    """The whole file. `gateway` is the address under which callers know the gateway."""

    version: Literal["1"]
    gateway: Annotated[Line, AfterValidator(web_address)]
    token: AgentReference
    allow_http: Flag = False
    tls: Tls | None = None
    proxy: Proxy | None = None
    commands: dict[Annotated[str, AfterValidator(_command_name)], Command] = {}
    connections: dict[Name, Server]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        address = urlsplit(self.gateway)
        if address.scheme == "http" and address.hostname not in LOOPBACK and not self.allow_http:
            reason = "must begin with https: what the servers say would travel in clear; `allow_http: true` permits it"
            raise problem(reason, "gateway")
        if not self.connections:
            raise problem("must name at least one server", "connections")
        return self

    @property
    def narrowed(self) -> None:
        """Nothing: a gateway may be anywhere."""
        return

    @property
    def address(self) -> str:
        """The address of the gateway's door for agents."""
        return self.gateway.rstrip("/") + PATH


def load(text: str) -> AgentFile:
    """Return what the text says. Raises ConfigError with all that is wrong with it."""
    document = read(text)
    if not isinstance(document.data, dict):
        raise ConfigError(document.problems or [Problem(0, "", "must be a mapping of keys such as gateway and token")])
    problems: list[Any] = list(document.problems)
    found = None
    try:
        found = AgentFile.model_validate(document.data)
    except ValidationError as error:
        problems += [document.problem(*one) for one in schema_problems(error)]
    if problems or found is None:
        raise ConfigError(problems)
    return found
