"""One upstream MCP server: address, credential, who may use it, and what happens when no rule speaks."""

from __future__ import annotations

import datetime
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals import addresses
from approvals.config.channels import Routes
from approvals.config.credential import Credential
from approvals.config.hints import HintsSet
from approvals.config.identity import Kind
from approvals.config.oauth import FOR_CALLERS
from approvals.config.reaching import Networks, Proxy, ServerAddress, Tls
from approvals.config.rules import AccessRequests, Approval
from approvals.config.stdio import Command, Environment, Folder, Limits
from approvals.config.values import (
    Count,
    Duration,
    Flag,
    Line,
    Name,
    Patterns,
    Pause,
    Size,
    SomeLines,
    Strict,
    Text,
    distinct,
    problem,
)
from approvals.sql.lexing import Dialect

# What a server may ask of its caller, where the connection allows it.
ServerRequest = Literal["sampling", "elicitation", "roots"]

# What the server speaks, where that is to be known: the transport of two addresses, any later revision with a
# handshake, or the newest one without.
Protocol = Literal["2024-11-05", "2025-11-25", "2026-07-28"]

# What only one transport has; the first of each is required there.
_OF_HTTP = ("url", "credential", "networks", "tls", "proxy")
_OF_STDIO = ("command", "environment", "cwd", "shared", "limits")
_OF_AGENT = ("agent",)
_NO_STREAMS = {
    "stdio": "2024-11-05 is a transport for servers on the network; say 2025-11-25",
    "agent": "2024-11-05 is said in the agent's own file, which translates it; leave it out here",
}
_ELSEWHERE = {"agent": ": it is said in the agent's own file"}
_OF = {"http": _OF_HTTP, "stdio": _OF_STDIO, "agent": _OF_AGENT}


def _one_block(value: object) -> object:
    """Take a single block for a list of one."""
    return [value] if isinstance(value, dict) else value


def _until(value: str) -> str:
    """Accept a date (its start, UTC) or an RFC 3339 time with its offset."""
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise problem("must be a date such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z") from None
    if len(value) > 10 and moment.tzinfo is None:
        raise problem("needs an offset, as in 2026-12-24T18:00:00Z")
    return value


class Access(Strict):
    """Members of any of these groups (and of these kinds, when given) may use these tools."""

    groups: SomeLines
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    tools: Patterns = ("*",)


class Rate(Strict):
    """So many calls in so many seconds: of each caller, of all callers together, or of each caller to each tool."""

    calls: Count
    per: Duration
    by: Literal["caller", "connection", "tool"] = "caller"

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if not 0 < self.per <= 86400:
            raise problem("must be between 1s and 1d", "per")
        return self


class Wait(Strict):
    """How long a held caller is kept on the line, in seconds; nothing exceeds `max`.

    With `stream` no single answer is longer than that: who can, comes back for the rest.
    """

    default: Pause = 50
    ci: Pause = 30 * 60
    max: Pause = 60 * 60
    stream: Duration | None = None

    def seconds(self, kind: Kind) -> int:
        """Return how long a caller of this kind waits when it asks for nothing else."""
        return min(self.ci if kind == "ci" else self.default, self.max)


class Connection(Strict):
    """One upstream. All durations are seconds, all sizes bytes."""

    description: Text | None = None
    transport: Literal["http", "stdio", "agent"] = "http"
    url: ServerAddress | None = None
    networks: Networks | None = None
    tls: Tls | None = None
    proxy: Proxy | None = None
    credential: Credential | None = None
    command: Command | None = None
    environment: Environment = {}
    cwd: Folder | None = None
    shared: Flag = False
    limits: Limits = Limits()
    agent: Name | None = None
    labels: dict[Line, Line] = {}
    access: tuple[Access, ...] = ()
    mode: Literal["enforce", "observe"] = "enforce"
    observe_until: Annotated[Line, AfterValidator(_until)] | None = None
    default: Literal["allow", "hold", "deny"]
    default_approval: Approval | None = None
    access_requests: AccessRequests | None = None
    notify: Routes = ()
    wait: Wait = Wait()
    timeout: Duration = 60
    pin_tools: bool = True
    tool_hints: tuple[HintsSet, ...] = ()
    rate: Annotated[tuple[Rate, ...], BeforeValidator(_one_block), AfterValidator(distinct("rate"))] = ()
    sql_dialect: Dialect | None = None
    protocol: Protocol | None = None
    server_requests: Annotated[tuple[ServerRequest, ...], AfterValidator(distinct("kind of request"))] = ()
    max_body: Size = 4 << 20
    max_answer: Size = 32 << 20
    keep_payloads: Duration = 400 * 86400

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self._fits_its_transport()
        if self.mode == "observe" and self.observe_until is None:
            raise problem("is required where mode is observe, so that observing has an end", "observe_until")
        if self.default == "hold" and self.default_approval is None:
            raise problem("is required where default is hold", "default_approval")
        return self

    def _fits_its_transport(self) -> None:
        needed = _OF[self.transport][0]
        if getattr(self, needed) is None:
            raise problem("is required", needed)
        others = [key for transport, keys in _OF.items() if transport != self.transport for key in keys]
        for key in others:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise problem(f"is not for transport {self.transport}{_ELSEWHERE.get(self.transport, '')}", key)
        if self.protocol == "2024-11-05" and self.transport in _NO_STREAMS:
            raise problem(_NO_STREAMS[self.transport], "protocol")
        self._fits_its_protection()

    def _fits_its_protection(self) -> None:
        if self.is_kept and self.credential is not None and self.credential.oauth is not None:
            raise problem("is not available with protocol 2024-11-05: say `value`", "credential.oauth")
        for key in ("tls", "proxy"):
            if getattr(self, key) is not None and not str(self.url).startswith("https:"):
                raise problem("is for servers whose url begins with https alone", key)
        if self.tls is not None and self.proxy is not None and self.proxy.url.startswith("https:"):
            raise problem("must begin with http: beside `tls`, whose certificate is for the server alone", "proxy.url")

    @property
    def is_kept(self) -> bool:
        """Say whether the runner keeps its servers: programs, or streams that stand for as long as a session."""
        return self.transport == "stdio" or self.protocol == "2024-11-05"

    @property
    def is_told_callers(self) -> bool:
        """Say whether somebody of ours calls its server, who must know for whom: the runner, or an agent."""
        return self.is_kept or self.transport == "agent"

    @property
    def is_for_callers(self) -> bool:
        """Say whether each caller comes to the server with tokens of their own, so that nobody else can ask it."""
        oauth = self.credential.oauth if self.credential is not None else None
        return oauth is not None and oauth.grant in FOR_CALLERS

    @property
    def further_secrets(self) -> tuple[str, ...]:
        """References to secrets beside those of the credential and the environment."""
        found = (self.tls and self.tls.password, self.proxy and self.proxy.password)
        oauth = self.credential.oauth if self.credential is not None else None
        return (*(one for one in found if one), *(oauth.secrets if oauth is not None else ()))

    @cached_property
    def narrowed(self) -> addresses.Networks | None:
        """What may be dialled for this connection alone; None: whatever the installation allows."""
        if self.networks is None:
            return None
        return addresses.Networks.read(self.networks, said_by="`networks` of the connection")

    def observing(self, now: float) -> bool:
        """Tell whether deny and hold are only counted at this time (seconds since the epoch)."""
        if self.mode != "observe" or self.observe_until is None:
            return False
        end = datetime.datetime.fromisoformat(self.observe_until)
        if end.tzinfo is None:
            end = end.replace(tzinfo=datetime.UTC)
        return now < end.timestamp()
