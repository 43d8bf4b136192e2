"""What the gateway's own tools take and give; the schemas that clients see are made from these. Pure.

No answer names an argument, a rule or a request that concerns somebody else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from approvals.config.identity import Kind
from approvals.states import Status
from proxy.refusals import Executed

LONGEST_WAIT = 3600
LONGEST_ACCESS = 366 * 24 * 3600
LONGEST_REASON = 2000
MOST_LISTED = 50

# What could be one. PostgreSQL takes no U+0000 in a text, not even in one that is only looked for.
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z-]+$")]
_NO_NUL = r"^[^\x00]+$"
Name = Annotated[str, Field(min_length=1, max_length=500, pattern=_NO_NUL)]


class Given(BaseModel):
    """Arguments of a tool; a member that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Nothing(Given):
    """No arguments."""


class Listed(Given):
    """Which of one's own requests to list."""

    status: Annotated[Status | None, Field(description="Only requests that stand there.")] = None
    connection: Annotated[Name | None, Field(description="Only requests for this connection.")] = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 20
    cursor: Annotated[Identifier | None, Field(description="`next` of the page before.")] = None


class Awaited(Given):
    """Which request to wait for, and for how long."""

    approval_id: Annotated[Identifier, Field(description="The id that the pending result named.")]
    seconds: Annotated[int, Field(ge=0, le=LONGEST_WAIT, description="How long to wait at most.")] = 50


class Wanted(Given):
    """Which access to ask for, for how long, and why."""

    connection: Annotated[Name, Field(description="One of `requestable` in the answer of list_connections.")]
    seconds: Annotated[int, Field(ge=1, le=LONGEST_ACCESS, description="For how long, from the approval on.")]
    reason: Annotated[
        str, Field(min_length=1, max_length=LONGEST_REASON, pattern=r"^[^\x00]+$", description="The approvers read it.")
    ]
    tools: Annotated[
        tuple[Name, ...], Field(min_length=1, max_length=20, description="Names of tools; * and ? are wildcards.")
    ] = ("*",)


class Asked(Given):
    """What to explain: a call that was made, an approval request, or a call that might be made."""

    call_id: Annotated[Identifier | None, Field(description="A call that was made.")] = None
    approval_id: Annotated[Identifier | None, Field(description="A request of yours.")] = None
    connection: Annotated[Name | None, Field(description="With `tool`: a call that might be made.")] = None
    tool: Annotated[Name | None, Field(description="The tool of that call.")] = None
    arguments: Annotated[dict[str, Any], Field(description="The arguments of that call. Nothing is run.")] = {}

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        might = self.connection is not None or self.tool is not None
        if (self.call_id is not None) + (self.approval_id is not None) + might != 1:
            msg = "give exactly one of call_id, approval_id, or connection with tool"
            raise ValueError(msg)
        if might and (self.connection is None or self.tool is None):
            msg = "connection and tool belong together"
            raise ValueError(msg)
        return self


class Said(BaseModel):
    """What a tool says: always every member, null where there is nothing to say."""

    # A model's defaults are always written, so clients may rely on every member.
    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class RuleSaid(Said):
    """A rule that concerns the caller."""

    name: str
    action: Literal["allow", "deny", "hold"]
    tools: tuple[str, ...]
    when: Annotated[
        Literal["always", "sometimes"], Field(description="Sometimes: it depends on arguments, time or tool.")
    ]
    who_decides: str | None = None
    message: str | None = None


class ConnectionSaid(Said):
    """A connection that the caller may use."""

    name: str
    url: str
    description: str | None
    mode: Literal["enforce", "observe"]
    tools: tuple[str, ...]
    otherwise: Annotated[
        Literal["allow", "deny", "hold"], Field(description="What happens to a call that no rule speaks of.")
    ]
    rules: tuple[RuleSaid, ...]
    access: Annotated[
        str | None, Field(description="The id of the request by which alone you may use it, for a while.")
    ]
    waits: Annotated[int, Field(description="For how many seconds a held call is kept on the line, unless asked.")]


class RequestableSaid(Said):
    """A connection to which access can be asked for."""

    name: str
    description: str | None
    longest: Annotated[int, Field(description="Seconds.")]


class Connections(Said):
    """Who calls, what they may call, and where they may ask for access."""

    you: str
    kind: Kind
    connections: tuple[ConnectionSaid, ...]
    requestable: tuple[RequestableSaid, ...]


class ApprovalSaid(Said):
    """One of the caller's own requests, and what to do about it now."""

    id: str
    status: Status
    connection: str
    method: str
    tool: str
    arguments: Annotated[Any, Field(description="As they were asked for, with sensitive values hidden.")]
    reason: str | None
    rule: str | None
    who_decides: str
    comments: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    execute_by: datetime | None
    executed: Executed
    call_id: str
    url: str
    usually_decided_in: Annotated[int | None, Field(description="Seconds, by what was decided under this rule lately.")]
    next_step: str


class Approvals(Said):
    """A page of the caller's own requests, newest first."""

    approvals: tuple[ApprovalSaid, ...]
    next: str | None


class WaitSaid(Said):
    """Where the request stands after the wait."""

    waited: Annotated[float, Field(description="Seconds.")]
    approval: ApprovalSaid


class AccessSaid(Said):
    """The request for access that people decide."""

    joined: Annotated[bool, Field(description="The same request was open already.")]
    approval: ApprovalSaid


class Explanation(Said):
    """What was, is or would be decided, why, and what to do about it."""

    verdict: Literal["allow", "deny", "hold", "unknown"]
    reason: Annotated[str | None, Field(description="The reason of the refusal, as in the table of refusals.")] = None
    message: str
    rules: tuple[RuleSaid, ...] = ()
    would: Annotated[str | None, Field(description="What rules in observe mode would have made of it.")] = None
    who_decides: str | None = None
    asks_for_a_reason: bool = False
    executed: Executed | None = None
    call_id: str | None = None
    approval: ApprovalSaid | None = None
    policy_revision: int
    next_step: str
