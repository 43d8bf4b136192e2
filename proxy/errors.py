"""The faults of the data path, each with what the caller may know of it. Pure.

Fault
├── CredentialUnavailable      the upstream's credential could not be fetched, or the upstream refused it
├── UpstreamUnavailable        no connection; nothing was sent
├── UpstreamTimeout            sent, and no complete answer in time
├── UpstreamInvalid            an answer that is not MCP, a redirect, or more than the connection allows
│   └── SessionLost            the upstream no longer knows the session: the caller must begin a new one
├── OutcomeUnknown             sent, and the connection broke before a complete answer
├── AccessEnded                the access on which the call rested ended while it ran
├── NotAllowedToAsk            the server asks its caller for something that the connection does not allow
├── NoStream                   the upstream does not offer the standing stream of a session
└── MaskingBroken              a complete answer that cannot be masked
"""

from __future__ import annotations

from typing import ClassVar

from proxy.refusals import Executed, Refusal


class Fault(Exception):
    """A step of a call could not be done. `message` is safe for the caller: no address, no credential, no
    answer body.

    `executed` says whether the upstream ran the call, `status` is the HTTP status that the upstream sent, if
    any, `detail` is a word for the record that says more than the reason, `url` where the caller can do something,
    `retry_after` after how many seconds the same call may well succeed.
    """

    reason: ClassVar[str]
    executed: Executed = "unknown"

    def __init__(
        self,
        message: str,
        *,
        executed: Executed | None = None,
        status: int | None = None,
        detail: str = "",
        url: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.detail = detail
        self.url = url
        self.retry_after = retry_after
        if executed is not None:
            self.executed = executed

    def refusal(self, *, call_id: str = "") -> Refusal:
        """Return the fault as the caller sees it."""
        return Refusal(
            reason=self.reason,
            executed=self.executed,
            message=self.message,
            call_id=call_id,
            retry_after=self.retry_after,
            url=self.url,
        )


class CredentialUnavailable(Fault):
    """The credential for the upstream is missing, unreadable, or refused by the upstream (401, 403)."""

    reason = "credential_unavailable"
    executed = "false"


class UpstreamUnavailable(Fault):
    """Refused, unresolved or untrusted: not one byte of the request was sent."""

    reason = "upstream_unavailable"
    executed = "false"


class UpstreamTimeout(Fault):
    """The request was sent and its time is up."""

    reason = "upstream_timeout"


class UpstreamInvalid(Fault):
    """The upstream answered with something that may not be passed on."""

    reason = "upstream_invalid"


class SessionLost(UpstreamInvalid):
    """The upstream answered 404 to a session id: nothing was executed, and the caller gets a 404 as well."""

    executed = "false"


class OutcomeUnknown(Fault):
    """The connection broke after the request was sent."""

    reason = "outcome_unknown"


class AccessEnded(Fault):
    """The window of access on which the call rested ended; if it was sent, what the upstream did is not known."""

    reason = "revoked"


class NotAllowedToAsk(Fault):
    """The server wants answers of its caller before it goes on, and may not ask for them."""

    reason = "blocked"


class NoStream(Fault):
    """The upstream answered the GET of a session with something else than a stream; `status` says with what."""

    reason = "upstream_invalid"
    executed = "false"


class MaskingBroken(Fault):
    """The answer came and parsed, and cannot be masked: it is withheld."""

    reason = "masking_failed"
    executed = "true"
