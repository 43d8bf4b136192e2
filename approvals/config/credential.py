"""What shows the gateway, or an agent, to the server of a connection."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from approvals.config.oauth import OAuth
from approvals.config.values import Reference, Strict, problem

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
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
