"""One upstream MCP server: address, credential, who may use it, and what happens when no rule speaks."""

from __future__ import annotations

import datetime
import re
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals import addresses
from approvals.config.channels import Routes
from approvals.config.hints import HintsSet
from approvals.config.identity import Kind
from approvals.config.oauth import FOR_CALLERS, OAuth
from approvals.config.reaching import Networks, Proxy, ServerAddress, Tls
from approvals.config.rules import AccessRequests, Approval
from approvals.config.stdio import Command, Environment, Folder, Limits
from approvals.config.values import (
    Count,
    Duration,
    Flag,
    Line,
    Patterns,
    Pause,
    Reference,
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

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
# Set by the transport or the protocol: a credential here would change what is sent, not who sends it.
_RESERVED_HEADERS = frozenset({
    "accept", "connection", "content-length", "content-type", "expect", "host", "mcp-method", "mcp-name",
    "mcp-protocol-version", "mcp-session-id", "te", "transfer-encoding", "upgrade",
})  # fmt: skip

# What only one transport has; the first of each is required there.
_OF_HTTP = ("url", "credential", "networks", "tls", "proxy")
_OF_STDIO = ("command", "environment", "cwd", "shared", "limits")


def _header(value: str) -> str:
    if not _HEADER.match(value) or value.lower() in _RESERVED_HEADERS:
        raise problem("must be the name of a header that may carry a credential")
    return value


def _prefix(value: str) -> str:
    if len(value) > 100 or not value.isascii() or not value.isprintable():
        raise problem("must be at most 100 printable ASCII characters")
    return value


def _known_transport(value: object) -> object:
    if value == "agent":
        raise problem(f"transport {value} is not available in this version")
    return value


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


class Credential(Strict):
    """What is injected upstream: header, prefix, and a reference to the secret or where tokens come from."""

    header: Annotated[str, AfterValidator(_header)]
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    value: Reference | None = None
    oauth: OAuth | None = None

    @model_validator(mode="before")
    @classmethod
    def _bearer(cls, data: Any) -> Any:
        if isinstance(data, dict) and "oauth" in data:
            return {"header": "Authorization", "prefix": "Bearer ", **data}
        return data

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.value is None and self.oauth is None:
            raise problem("is required, or oauth", "value")
        if self.value is not None and self.oauth is not None:
            raise problem("stands in place of value, not beside it", "oauth")
        return self


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
    transport: Annotated[Literal["http", "stdio"], BeforeValidator(_known_transport)] = "http"
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
        is_stdio = self.transport == "stdio"
        needed = _OF_STDIO[0] if is_stdio else _OF_HTTP[0]
        if getattr(self, needed) is None:
            raise problem("is required", needed)
        for key in _OF_HTTP if is_stdio else _OF_STDIO:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise problem(f"is not for transport {self.transport}", key)
        if is_stdio and self.protocol == "2024-11-05":
            raise problem("2024-11-05 is a transport for servers on the network; say 2025-11-25", "protocol")
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
