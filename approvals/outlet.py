"""The one outlet: every byte that leaves the gateway or is written down passes here.

Only this module makes a `Payload`, the type that the record accepts; so whatever is recorded was masked, and the type
checker proves it. The record, pages, Slack and logs get the view that excepts nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sessions.events import Payload

if TYPE_CHECKING:
    from masking.engine import Engine, Masked, Masker


@dataclass(frozen=True, slots=True)
class Outlet:
    """The masked views of one connection's traffic: what its caller may see, and what may be written down.

    `literals` are the secrets in use for this call (the upstream's credential): hidden wherever they appear.
    """

    caller_view: Masker
    strict_view: Masker
    literals: tuple[str, ...] = ()

    def for_caller(self, message: bytes, *, required: frozenset[str] = frozenset()) -> Masked:
        """Return the message as its caller may see it. Raises MaskingFailed when it cannot be masked.

        `required` are the names that the tool's output schema demands: they are hidden, never removed.
        """
        return self.caller_view.json(message, literals=self.literals, required=required)

    def for_record(self, document: bytes) -> Payload:
        """Return a JSON document as it may be written down. Raises MaskingFailed."""
        return Payload(self.strict_view.json(document, literals=self.literals).body)

    def same_for_record(self, masked: Masked, original: bytes) -> Payload:
        """Return the record's view of a message already masked for its caller, masking again only if views differ."""
        if self.caller_view is self.strict_view:
            return Payload(masked.body)
        return self.for_record(original)

    def value_for_record(self, value: Any) -> Payload:
        """Return a parsed JSON value as bytes that may be written down."""
        return self.for_record(orjson.dumps(value))

    def text_for_record(self, text: str) -> Payload:
        """Return free text as bytes that may be written down."""
        return Payload(self.text(text).encode())

    def text(self, text: str) -> str:
        """Return free text (a reason, a comment, a tool's name, a log line) as it may be shown to anybody."""
        return self.strict_view.text(text, literals=self.literals)

    def for_approver(self, value: Any) -> Any:
        """Return arguments as an approver sees them: only validated spans hidden, with their length shown."""
        return self.strict_view.for_approver(value, literals=self.literals)


def outlet(
    engine: Engine, connection: str, groups: frozenset[str] | None = None, literals: tuple[str, ...] = ()
) -> Outlet:
    """Return the outlet of one connection for a caller in these groups; None stands for nobody in particular."""
    strict = engine.masker(connection, None)
    return Outlet(strict if groups is None else engine.masker(connection, groups), strict, literals)
