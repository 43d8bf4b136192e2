"""One request on its way: what is known of it, from authentication to the last byte."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from approvals.verdicts import Call
from masking.seams import Waiting
from proxy.mcp import ADDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.config.hints import Hints
    from approvals.config.schema import Connection
    from approvals.denials import DeniedTooOften
    from approvals.models import ApprovalRequest
    from approvals.outlet import Outlet
    from approvals.publication import Snapshot
    from approvals.rules.judged import Judged
    from approvals.secrets import Secret
    from approvals.verdicts import Caller
    from masking.schemas import OutputSchema
    from proxy.entrance import Identify
    from proxy.headers import RawHeaders
    from proxy.knobs import Knobs
    from proxy.legacy import Session
    from proxy.mcp import Message
    from sessions.events import Event, Payload

# Methods that can carry an effect or data: the policy judges each of them. Lists and notifications are filtered.
GOVERNED = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete", "tasks/update"})
# So are answers to these requests of a server: they are data that flows to it.
GOVERNED_ANSWERS = frozenset({"sampling/createMessage", "elicitation/create"})


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
    identify: Identify  # says anew who calls, under another policy
    identified_under: int  # the revision under which `caller` was found
    token: Secret | None = None  # the caller's own; it never travels on, and is hidden wherever it appears
    headers: RawHeaders = ()  # of the caller's request; few are passed on
    session: Session | None = None  # of the legacy era
    recorded_session: str = ""
    actor: str = ""
    accepts: Literal["json", "sse", "both"] = "both"
    started: float = field(default_factory=time.monotonic)

    window: str = ""  # of access, on which alone this call rests
    lost_window: bool = False  # it had one, and now that is over

    # Entries that go with the first one of this exchange: the start of its recorded session.
    opening: tuple[Event, ...] = ()

    # A large request as it may be written down, what was hidden in it, and the outlet that masked it.
    recorded_request: tuple[Outlet, Payload, Mapping[str, int]] | None = None
    request_hits: Mapping[str, int] = field(default_factory=dict)
    raw_answer: bytes = b""  # the last message of the upstream as it came
    answer_digest: str = ""  # its keyed digest
    noted: list[Event] = field(default_factory=list)  # of its server, for the entry of its end
    judged: Judged | None = None  # what is kept of the last verdict; None where no rule spoke

    # Of a held call.
    approval_id: str = ""
    replaces: str = ""  # the superseded approval for which this caller waited before
    attends: str = ""  # the approval for which this caller is on the line
    request: ApprovalRequest | None = None
    answer_until: float = math.inf  # monotonic seconds: how long this one answer is open
    parked: str = ""  # under which what was sent lies, for a caller who comes back
    hold_until: float = 0.0  # monotonic seconds: how long this caller is kept on the line, over all its requests
    moved: bool = False  # the policy moved before the request was opened
    crowded: str = ""  # why it may not wait: there are too many already
    stopped: DeniedTooOften | None = None  # why people are not asked about it
    rated: bool = False  # it was counted against the limits of its connection
    retry_after: float = 0.0  # seconds, where a limit refuses it
    key_taken: bool = False  # its Idempotency-Key belongs to another call
    delivers: str = ""  # the approval whose kept result this answer hands over
    pulses: int = 0  # progress notes of our own; the upstream's are counted on from here
    tool_digest: str = ""
    tool_hints: Hints = field(default_factory=dict)

    keyed_scope: str = ""  # of an allowed call with an Idempotency-Key
    answered: bool = False  # the end of the call is recorded
    output: OutputSchema | None = None  # what the called tool says of its results
    asked: int = 0  # requests of the server's own in the middle of this call
    secrets: tuple[Secret, ...] = ()  # the credentials in use, hidden wherever they appear

    # Of a stream that its caller can take up again.
    last_event_id: str | None = None  # the upstream's, from where its standing stream goes on
    resumes: tuple[str, int] | None = None  # the call whose stream is taken up, and how many messages were told
    is_resumable: bool = False
    told: int = 0  # messages of this call that are recorded
    event_id: str | None = None  # the upstream's, of what came last
    is_paused: bool = False  # the upstream ended its stream for now, so this one ends as well

    # Of the upstream's answer.
    status: int = 200
    streamed: bool = False
    renewed: bool = False  # it was sent once more with a new token, after the upstream had refused the old one
    notes: Waiting = field(default_factory=Waiting)  # that may end with the beginning of a value
    failed: bool = False  # it is an error
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()

    heard: bool = True  # the caller is still there
    handed_over: bool = False  # the answer itself went out

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
            hints=self.tool_hints,
        )

    @property
    def accepts_stream(self) -> bool:
        """Say whether the caller takes an event stream."""
        return self.accepts != "json"

    @property
    def is_governed(self) -> bool:
        """Say whether the policy judges this message one by one."""
        if self.message.method in ADDED and self.message.era == "legacy":
            return False
        return self.message.method in (GOVERNED_ANSWERS if self.message.kind == "response" else GOVERNED)

    @property
    def is_standing(self) -> bool:
        """Say whether it is a stream for as long as its caller listens, without an end of its own."""
        return self.message.kind == "stream" or self.message.method == "subscriptions/listen"


@dataclass(frozen=True, slots=True)
class Permit:
    """The intent is committed: this call may be forwarded, by this process, until then, and once."""

    forward_before: float  # seconds of a clock that goes on while the machine sleeps
    rules: tuple[str, ...] = ()
    would: str | None = None
    claim: str = ""  # of a held call
