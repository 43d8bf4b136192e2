"""A recorded session as people read it: its calls, each from the request over verdict and approval to the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson

from approvals.legible import Piece, whole
from approvals.outlet import counts_in
from approvals.pages.entry_words import ENTRIES
from sessions.calls import HELD, OPENING
from sessions.events import ENDS, INTENT
from sessions.leaf import moment

if TYPE_CHECKING:
    from approvals.tried import Tried
    from sessions.leaf import Leaf
    from sessions.selectors import RecordedEntry

OPEN_BYTES: Final = 1_500
# Said in sentences of their own, or of use to a verifier alone: these stand behind a fold.
_TOLD: Final = {"masked", "exposed", "approval", "rules", "rule", "decision", "via", "verdict", "executed", "reason",
                "call", "binding", "view", "request", "tool_digest", "forward_within", "observed", "would"}  # fmt: skip
_FOLDED: Final = {"actor", "caller", "voter", "judged"}


class Part(StrEnum):
    """What of the way of a call an entry tells; the first entry of a call tells several."""

    REQUEST = "Request"
    VERDICT = "Verdict"
    APPROVAL = "Approval"
    FORWARD = "Forward"
    ANSWER = "Answer"
    OTHER = ""


_VERDICTS: Final = {
    INTENT: ("go", "Allowed"),
    HELD: ("wait", "Held: people are asked"),
    "call.blocked": ("stop", "Blocked by policy"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What an approver had before them when they voted: the arguments, if they can still be shown as they were."""

    digest: str
    arguments: tuple[Piece, ...] = ()
    is_same: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """A payload that is gone: name, commitment, and the entry that says that it was erased; None where none does."""

    name: str
    digest: str
    erasure: Leaf | None = None

    @property
    def at(self) -> datetime | None:
        return None if self.erasure is None else moment(self.erasure.ts)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way: an entry of the record, or a part of what it tells."""

    entry: RecordedEntry
    part: Part
    payloads: tuple[tuple[str, tuple[tuple[Piece, ...], bool]], ...] = ()
    """Name, text, and whether it is short enough to be open at first."""
    missing: tuple[Missing, ...] = ()
    who: str = ""
    seen: Seen | None = None
    is_first: bool = True
    """Of the steps of its entry."""

    @property
    def anchor(self) -> str:
        return f"entry-{self.entry.id}" + ("" if self.is_first else f"-{self.part.name.lower()}")

    @property
    def tone(self) -> str:
        kind = self.entry.leaf.kind
        if self.part is Part.REQUEST:
            return ""
        return _VERDICTS[kind][0] if self.part is Part.VERDICT else ENTRIES.get(kind, ("", ""))[0]

    @property
    def title(self) -> str:
        kind = self.entry.leaf.kind
        if self.part is Part.REQUEST:
            return "The caller asked"
        return _VERDICTS[kind][1] if self.part is Part.VERDICT else ENTRIES.get(kind, ("", kind))[1]

    @property
    def at(self) -> datetime:
        return moment(self.entry.leaf.ts)

    @property
    def facts(self) -> dict[str, Any]:
        return dict(self.entry.leaf.facts)

    @property
    def more(self) -> list[tuple[str, object]]:
        """What else the entry says and a person may want to read."""
        return sorted(
            (name, value) for name, value in self.facts.items() if name not in _TOLD and value not in (None, "", [])
        )

    @property
    def masked(self) -> dict[str, int]:
        """What was hidden here, by class."""
        return counts_in(self.facts.get("masked")) if self.is_first else {}

    @property
    def exposed(self) -> dict[str, int]:
        """What a rule hides from others and this caller was shown, by class."""
        return counts_in(self.facts.get("exposed")) if self.is_first else {}


@dataclass(frozen=True, slots=True)
class Digest:
    """One of the three digests of a call that people decided on: whose it is, and whether it is that of the first."""

    name: str
    value: str
    is_same: bool


@dataclass(slots=True)
class CallLine:
    """The steps of one call; without an id, of what the session tells beside its calls."""

    call_id: str
    steps: list[Step] = field(default_factory=list)
    trace: Tried | None = None

    @property
    def tool(self) -> str:
        leaf = self.steps[0].entry.leaf
        return leaf.tool or leaf.method

    @property
    def number(self) -> int:
        return self.steps[0].entry.id

    @property
    def approval(self) -> str:
        return next((str(found) for step in self.steps if (found := step.facts.get("approval"))), "")

    @property
    def digests(self) -> list[Digest]:
        """What was asked for, approved and run, as far as it came to that; nothing where nobody was asked."""
        told = {step.entry.leaf.kind: str(step.facts.get("call") or "") for step in self.steps if self.approval}
        wanted = (("requested", HELD), ("approved", "approval.approved"), ("executed", INTENT))
        values = [(name, told[kind]) for name, kind in wanted if told.get(kind)]
        return [Digest(name, value, value == values[0][1]) for name, value in values]

    @property
    def is_complete(self) -> bool:
        """Say whether all three digests are there and the same."""
        return len(self.digests) == 3 and all(one.is_same for one in self.digests)

    @property
    def is_other(self) -> bool:
        return not all(one.is_same for one in self.digests)


def lines(entries: Iterable[RecordedEntry], *, sees_payloads: bool) -> list[CallLine]:
    """Return the calls of these entries in the order in which each began; entries of no call stand between them."""
    found: dict[str, CallLine] = {}
    told: list[CallLine] = []
    for entry in entries:
        call = entry.leaf.call
        if not call and told and not told[-1].call_id:
            line = told[-1]
        elif not call or call not in found:
            line = CallLine(call)
            told.append(line)
            found[call] = line
        else:
            line = found[call]
        line.steps.extend(steps(entry, sees_payloads=sees_payloads))
    return told


def steps(entry: RecordedEntry, *, sees_payloads: bool) -> list[Step]:
    """Return the steps that an entry tells; without payloads for who must not see them."""
    bodies = sorted(entry.payloads.items()) if sees_payloads else []
    shown = tuple((name, (whole(_text(body)), _is_open(name, body))) for name, body in bodies)
    gone = [
        Missing(name, one.digest) for name, one in sorted(entry.leaf.payloads.items()) if name not in entry.payloads
    ]
    who = _name(entry) if sees_payloads else ""
    parts = _parts(entry)
    told = [Step(entry, parts[0], shown, tuple(gone), who)]
    return told + [Step(entry, part, is_first=False) for part in parts[1:]]


def is_judged(entry: RecordedEntry) -> bool:
    """Say whether rules decided on a call in this entry, for the first time."""
    leaf = entry.leaf
    return leaf.kind in OPENING and "request" in leaf.payloads and (leaf.kind == HELD or "approval" not in leaf.facts)


def named(entries: Sequence[RecordedEntry]) -> dict[str, Any]:
    """Return who called, as the first entry that says so has it; empty once that was erased."""
    for entry in entries:
        for name in ("actor", "caller"):
            if body := entry.payloads.get(name):
                found = orjson.loads(body)
                return found if isinstance(found, dict) else {}
    return {}


def _parts(entry: RecordedEntry) -> tuple[Part, ...]:
    kind = entry.leaf.kind
    if is_judged(entry):
        return (Part.REQUEST, Part.VERDICT, Part.FORWARD) if kind == INTENT else (Part.REQUEST, Part.VERDICT)
    if kind == INTENT:
        return (Part.FORWARD,)
    if kind.startswith("approval."):
        return (Part.APPROVAL,)
    return (Part.ANSWER,) if kind in ENDS else (Part.OTHER,)


def _name(entry: RecordedEntry) -> str:
    """Return the name of who did it, where the entry brings it."""
    body = entry.payloads.get("voter")
    found = orjson.loads(body) if body else {}
    return str(found.get("display") or found.get("sub") or "") if isinstance(found, dict) else ""


def _text(body: bytes) -> str:
    """Return a payload as text; of a JSON string, such as a comment, what it says."""
    text = body.decode("utf-8", "replace")
    if not text.startswith('"'):
        return text
    try:
        return str(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text


def _is_open(name: str, body: bytes) -> bool:
    return name not in _FOLDED and len(body) <= OPEN_BYTES
