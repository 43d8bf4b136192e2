"""The one outlet: every byte that leaves the gateway or is written down passes here.

Only this module makes a `Payload`, the type that the record accepts; so whatever is recorded was masked, and the type
checker proves it. The record, pages, Slack and logs get the view that excepts nobody. Whatever breaks in masking
ends as MaskingFailed: nothing goes on that was not masked to its end.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from masking.engine import Engine, MaskingFailed
from masking.literals import Literals
from sessions.events import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from approvals.rules.judged import Judged
    from masking.engine import Masked, Masker
    from masking.schemas import OutputSchema
    from masking.seams import Channel, Note

log = logging.getLogger("holdgate.masking")

_RESULT = b"structuredContent"
_SECRETS_ALONE = Engine((), hash_key=bytes(16)).masker("", None)  # no rule, so no pseudonym


@dataclass(frozen=True, slots=True)
class Seen:
    """One message in both views: as its caller sees it, and as it may be written down.

    `hits` counts by class what is hidden from the caller, `exposed` what is written down hidden and was shown to this
    caller, whom the rules except.
    """

    body: bytes
    recorded: Payload
    hits: Mapping[str, int]
    exposed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outlet:
    """The masked views of one connection's traffic: what its caller may see, and what may be written down.

    `literals` are the secrets that the gateway knows and those in use for this call: hidden wherever they appear.
    Every method raises MaskingFailed when it cannot do its work.
    """

    caller_view: Masker
    strict_view: Masker
    literals: Literals = field(default_factory=Literals, repr=False)

    def for_caller(self, message: bytes, *, schema: OutputSchema | None = None) -> Masked:
        """Return the message as its caller may see it; with a tool's output schema it goes on to satisfy that."""
        return self._view(self.caller_view, message, schema)

    def both(self, message: bytes, *, schema: OutputSchema | None = None) -> Seen:
        """Return a message as its caller may see it and as it may be written down; masked once where both are one."""
        masked = self._view(self.caller_view, message, schema)
        if self.caller_view is self.strict_view:
            return Seen(masked.body, Payload(masked.body), masked.hits)
        strict = self._view(self.strict_view, message, schema)
        return Seen(masked.body, Payload(strict.body), masked.hits, exposed=_more(strict.hits, masked.hits))

    def stream(
        self, notes: Sequence[Note], before: Mapping[Channel, str], *, schema: OutputSchema | None = None
    ) -> list[Seen]:
        """Return notes of a stream in both views; `before` is how those before them ended, see `masking.seams`.

        A note that tells of a finished task carries its result, which goes on to satisfy the `schema` of its tool.
        """
        if schema is not None and not any(_RESULT in note.body for note in notes):
            schema = None
        with _closed():
            shown = self._notes(self.caller_view, notes, before, schema)
            if self.caller_view is self.strict_view:
                return [Seen(one.body, Payload(one.body), one.hits) for one in shown]
            strict = self._notes(self.strict_view, notes, before, schema)
        return [
            Seen(one.body, Payload(kept.body), one.hits, exposed=_more(kept.hits, one.hits))
            for one, kept in zip(shown, strict, strict=True)
        ]

    def for_record(self, document: bytes) -> Payload:
        """Return a JSON document as it may be written down."""
        return Payload(self._view(self.strict_view, document, None).body)

    def counted_for_record(self, document: bytes) -> tuple[Payload, Mapping[str, int]]:
        """Return a JSON document as it may be written down, and how much of each class is hidden in it."""
        masked = self._view(self.strict_view, document, None)
        return Payload(masked.body), masked.hits

    def value_for_record(self, value: Any) -> Payload:
        """Return a parsed JSON value as bytes that may be written down."""
        return self.for_record(orjson.dumps(value))

    def text_for_record(self, text: str) -> Payload:
        """Return free text as bytes that may be written down."""
        return Payload(self.text(text).encode())

    def judged_for_record(self, judged: Judged) -> Payload:
        """Return what is kept of a verdict, as it may be written down: only the names of places are callers' text."""
        return Payload(orjson.dumps(judged.document(self.text)))

    def text(self, text: str) -> str:
        """Return free text (a reason, a comment, a tool's name, a log line) as it may be shown to anybody."""
        with _closed():
            return self.strict_view.text(text, literals=self.literals)

    def for_sealing(self, value: Any) -> Any:
        """Return arguments as they may lie sealed: as they were sent, but for the secrets in use."""
        with _closed():
            return _SECRETS_ALONE.value(value, literals=self.literals)

    def for_notice(self, value: Any) -> Any:
        """Return arguments as a message may carry them: as for an approver, but code is hidden like all else."""
        with _closed():
            return self.strict_view.for_notice(value, literals=self.literals)

    def for_approver(self, value: Any) -> Any:
        """Return arguments as an approver sees them: only validated spans hidden, with their length shown."""
        with _closed():
            return self.strict_view.for_approver(value, literals=self.literals)

    def _notes(
        self, view: Masker, notes: Sequence[Note], before: Mapping[Channel, str], schema: OutputSchema | None
    ) -> list[Masked]:
        if schema is None:
            return view.stream(notes, before, literals=self.literals)
        masked = view.stream(notes, before, literals=self.literals, required=schema.required)
        return [
            replace(one, body=schema.fit(note.body, one.body, view)) if one.changed else one
            for note, one in zip(notes, masked, strict=True)
        ]

    def _view(self, view: Masker, message: bytes, schema: OutputSchema | None) -> Masked:
        with _closed():
            required = frozenset[str]() if schema is None else schema.required
            masked = view.json(message, literals=self.literals, required=required)
            if schema is None or not masked.changed:
                return masked
            return replace(masked, body=schema.fit(message, masked.body, view))


@contextmanager
def _closed() -> Iterator[None]:
    """Turn whatever breaks into MaskingFailed. The log says where; what an error says may hold what was masked."""
    try:
        yield
    except MaskingFailed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, what it was to hide stays hidden
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        log.error("masking broke: %s at %s", type(error).__name__, where)
        raise MaskingFailed("masking broke") from None


def _more(strict: Mapping[str, int], shown: Mapping[str, int]) -> dict[str, int]:
    """Return what the strict view hides more often, by class."""
    found = {name: count - shown.get(name, 0) for name, count in strict.items()}
    return {name: count for name, count in found.items() if count > 0}


def counts(hits: Mapping[str, int]) -> list[str]:
    """Return counts by class as an entry of the record has them: `email:2`."""
    return [f"{name}:{count}" for name, count in sorted(hits.items())]


def counts_in(fact: object) -> dict[str, int]:
    """Return the counts that an entry's fact says, as `counts` wrote them."""
    parts = (str(one).rpartition(":") for one in (fact if isinstance(fact, list | tuple) else ()))
    return {name: int(count) for name, _, count in parts if count.isdecimal()}


def together(payloads: Sequence[Payload]) -> Payload:
    """Return several JSON documents that may be written down as one: an array of them."""
    return Payload(b"[" + b",".join(payloads) + b"]")


def outlet(
    engine: Engine, connection: str, groups: frozenset[str] | None = None, literals: Literals | None = None
) -> Outlet:
    """Return the outlet of one connection for a caller in these groups; None stands for nobody in particular."""
    strict = engine.masker(connection, None)
    return Outlet(strict if groups is None else engine.masker(connection, groups), strict, literals or Literals())


def notice_outlet(engine: Engine, literals: Literals | None = None) -> Outlet:
    """Return the outlet of what leaves the gateway as a message, about whatever connection.

    A channel has readers of every kind and keeps what it was sent: there everything is hidden that any rule hides.
    """
    return Outlet(engine.notice_masker, engine.notice_masker, literals or Literals())
