"""One request on its way: what is known of it, from authentication to the last byte."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from approvals.verdicts import Call

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from approvals.models import ApprovalRequest
    from approvals.publication import Snapshot
    from approvals.verdicts import Caller
    from proxy.credentials import Secret
    from proxy.entrance import Identify
    from proxy.headers import RawHeaders
    from proxy.knobs import Knobs
    from proxy.legacy import Session
    from proxy.mcp import Message
    from sessions.events import Event

# Methods that can carry an effect or data: the policy judges each of them. Lists and notifications are filtered.
GOVERNED = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete"})


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One message of one caller to one connection. Made by the endpoint, changed by the steps, never shared."""

    call_id: str
    caller: Caller
    connection_name: str
    connection: Connection
    message: Message
    knobs: Knobs
    snapshot: Snapshot  # the policy that judged it last
    headers: RawHeaders = ()  # of the caller's request; few are passed on
    identify: Identify | None = None  # says anew who calls, under another policy
    identified_under: int = 0  # the revision under which `caller` was found
    session: Session | None = None  # of the legacy era
    recorded_session: str = ""
    actor: str = ""
    accepts: Literal["json", "sse", "both"] = "both"
    started: float = field(default_factory=time.monotonic)

    # Entries that go with the first one of this exchange: the start of its recorded session.
    opening: tuple[Event, ...] = ()

    # Of a held call.
    approval_id: str = ""
    request: ApprovalRequest | None = None
    hold_until: float = 0.0  # monotonic seconds: how long this caller is kept on the line, over all its requests
    moved: bool = False  # the policy moved before the request was opened
    key_taken: bool = False  # its Idempotency-Key belongs to another call
    delivers: str = ""  # the approval whose kept result this answer hands over
    pulses: int = 0  # progress notes of our own; the upstream's are counted on from here
    tool_digest: str = ""

    keyed_scope: str = ""  # of an allowed call with an Idempotency-Key
    answered: bool = False  # the end of the call is recorded
    required: frozenset[str] = frozenset()  # names that the tool's output schema demands
    secret: Secret | None = None  # the credential in use, hidden wherever it appears

    # Of the upstream's answer.
    status: int = 200
    streamed: bool = False
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()

    heard: bool = True  # the caller is still there

    # Set as soon as the call may have reached the upstream: from then on the caller's leaving does not end it.
    committed: bool = False
    own_id: str = field(init=False)  # `call_id` becomes that of the request which this call joins

    def __post_init__(self) -> None:
        self.own_id = self.call_id

    @property
    def call(self) -> Call:
        """Return what the policy judges."""
        return Call(
            caller=self.caller,
            connection=self.connection_name,
            method=self.message.method,
            name=self.message.name or "",
            arguments=self.message.arguments,
        )

    @property
    def accepts_stream(self) -> bool:
        """Say whether the caller takes an event stream."""
        return self.accepts != "json"

    @property
    def is_governed(self) -> bool:
        """Say whether the policy judges this message one by one."""
        return self.message.method in GOVERNED


@dataclass(frozen=True, slots=True)
class Permit:
    """The intent is committed: this call may be forwarded, by this process, until then, and once."""

    forward_before: float  # monotonic seconds
    rules: tuple[str, ...] = ()
    would: str | None = None
    claim: str = ""  # of a held call
