"""One upstream MCP server: address, credential, who may use it, and what happens when no rule speaks."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals.config.identity import Kind, WebAddress
from approvals.config.rules import Approval
from approvals.config.values import (
    Duration,
    Line,
    Patterns,
    Pause,
    Size,
    SomeLines,
    Strict,
    Text,
    problem,
)

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+[^/]|exec:[A-Za-z0-9][A-Za-z0-9_.-]*)\Z")
# Set by the transport or the protocol: a credential here would change what is sent, not who sends it.
_RESERVED_HEADERS = frozenset({
    "accept", "connection", "content-length", "content-type", "expect", "host", "mcp-method", "mcp-name",
    "mcp-protocol-version", "mcp-session-id", "te", "transfer-encoding", "upgrade",
})  # fmt: skip


def _header(value: str) -> str:
    if not _HEADER.match(value) or value.lower() in _RESERVED_HEADERS:
        raise problem("must be the name of a header that may carry a credential")
    return value


def _prefix(value: str) -> str:
    if len(value) > 100 or not value.isascii() or not value.isprintable():
        raise problem("must be at most 100 printable ASCII characters")
    return value


def _reference(value: str) -> str:
    # The value is never quoted: what stands here by mistake is a secret.
    if value.startswith("vault:"):
        raise problem("vault: references are not available in this version")
    if not _REFERENCE.match(value):
        raise problem("must be a reference, env:NAME, file:/PATH or exec:NAME; a secret itself never stands here")
    return value


def _known_transport(value: object) -> object:
    if value in ("stdio", "agent"):
        raise problem(f"transport {value} is not available in this version")
    return value


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
    """What is injected upstream: header, prefix and a reference to the secret."""

    header: Annotated[str, AfterValidator(_header)]
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    value: Annotated[str, AfterValidator(_reference)]


class Access(Strict):
    """Members of any of these groups (and of these kinds, when given) may use these tools."""

    groups: SomeLines
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    tools: Patterns = ("*",)


class Wait(Strict):
    """How long a held caller is kept on the line, in seconds; nothing exceeds `max`."""

    default: Pause = 50
    ci: Pause = 30 * 60
    max: Pause = 60 * 60

    def seconds(self, kind: Kind) -> int:
        """Return how long a caller of this kind waits when it asks for nothing else."""
        return min(self.ci if kind == "ci" else self.default, self.max)


class Connection(Strict):
    """One upstream. All durations are seconds, all sizes bytes."""

    description: Text | None = None
    transport: Annotated[Literal["http"], BeforeValidator(_known_transport)] = "http"
    url: WebAddress | None = None
    credential: Credential | None = None
    labels: dict[Line, Line] = {}
    access: tuple[Access, ...] = ()
    mode: Literal["enforce", "observe"] = "enforce"
    observe_until: Annotated[Line, AfterValidator(_until)] | None = None
    default: Literal["allow", "hold", "deny"]
    default_approval: Approval | None = None
    wait: Wait = Wait()
    timeout: Duration = 60
    max_body: Size = 4 << 20
    max_answer: Size = 32 << 20

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.url is None:
            raise problem("is required", "url")
        if self.mode == "observe" and self.observe_until is None:
            raise problem("is required where mode is observe, so that observing has an end", "observe_until")
        if self.default == "hold" and self.default_approval is None:
            raise problem("is required where default is hold", "default_approval")
        return self

    def observing(self, now: float) -> bool:
        """Tell whether deny and hold are only counted at this time (seconds since the epoch)."""
        if self.mode != "observe" or self.observe_until is None:
            return False
        end = datetime.datetime.fromisoformat(self.observe_until)
        if end.tzinfo is None:
            end = end.replace(tzinfo=datetime.UTC)
        return now < end.timestamp()
