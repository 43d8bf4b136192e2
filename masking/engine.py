"""The face of masking: an `Engine` made from the rules of one policy revision, and a `Masker` for one reader.

Pure. Search the whole document first; only where something may be found, parse, walk and write it anew. A
document without hits comes back as the very same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Final

from masking.detectors import BY_NAME, Detector
from masking.detectors import DETECTORS as DETECTORS
from masking.documents import Parsed, Unreadable, parse_bytes, write
from masking.fields import Fields, Hidden
from masking.literals import Forms, Literals, forms_of
from masking.places import Zone, is_message
from masking.rules import MaskingRule, strictest_by_detector
from masking.seams import Channel, Note, Seams
from masking.spans import Hiding
from masking.suspicion import Suspicion
from masking.walk import Walk

_MOST_MASKERS: Final = 256
_MOST_TEXTS: Final = 1024
_LONGEST_KEPT_TEXT: Final = 100


class MaskingFailed(Exception):
    """The document cannot be read or masked and must not be passed on. The message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Masked:
    """The masked document, how often each detector or field hid something, and whether bytes changed."""

    body: bytes
    hits: Mapping[str, int]
    changed: bool


class Masker:
    """Hides for one connection and one reader. Safe to share between threads."""

    def __init__(
        self, rules: Sequence[MaskingRule], *, hash_key: bytes, known: Mapping[str, Detector] = BY_NAME
    ) -> None:
        fields, detectors = Fields(rules), strictest_by_detector(rules)
        self._hiding = Hiding(detectors, fields, hash_key, known=known)
        self._suspicion = Suspicion(self._hiding)
        self._seams = Seams(self._hiding, self._suspicion)
        self._approver = Hiding(detectors, fields, hash_key, lengths=True, known=known)
        self._make_notice = partial(Hiding, detectors, fields, hash_key, lengths=True, known=known, whole=True)
        self._short = lru_cache(maxsize=_MOST_TEXTS)(self._text)

    def json(
        self, document: bytes, *, literals: Literals | tuple[str, ...] = (), required: frozenset[str] = frozenset()
    ) -> Masked:
        """Mask one JSON document, usually an MCP message in UTF-8.

        `literals` are secrets that are hidden wherever they occur; `required` are the names the tool's output
        schema demands (`masking.schemas.required_names`), where `remove` becomes a label. The same bytes
        object comes back where nothing is hidden. Raises MaskingFailed where a document that may hold
        something is not JSON, is nested deeper than 200 levels or cannot be written again.
        """
        forms = forms_of(literals)
        try:
            whole, split = self._seams.within(document, forms)
        except (Unreadable, UnicodeDecodeError, RecursionError) as error:
            raise MaskingFailed("it cannot be masked") from error
        if not self._suspicion.of(whole, forms):
            return Masked(whole, split, changed=bool(split))
        (masked,) = self._masked((whole,), (0,), forms, required)
        return _together(masked, split) if split else masked

    def stream(
        self,
        notes: Sequence[Note],
        before: Mapping[Channel, str],
        *,
        literals: Literals | tuple[str, ...] = (),
        required: frozenset[str] = frozenset(),
    ) -> list[Masked]:
        """Mask notes of a stream that follow each other, also what is split over them; `before` as in `Seams.across`.

        `literals` and `required` as for `json`. Raises MaskingFailed.
        """
        forms = forms_of(literals)
        try:
            parts = self._seams.across(notes, before, forms)
        except (Unreadable, ValueError, RecursionError) as error:
            raise MaskingFailed("it cannot be masked") from error
        documents = [note for note, _ in parts]
        found = self._masked(documents, self._suspects(documents, forms), forms, required)
        return [_together(masked, split) if split else masked for masked, (_, split) in zip(found, parts, strict=True)]

    def _masked(
        self, documents: Sequence[bytes], suspects: Sequence[int], forms: Forms, required: frozenset[str]
    ) -> list[Masked]:
        """Mask the suspects among documents."""
        if not suspects:
            return [Masked(document, {}, changed=False) for document in documents]
        walk = Walk(self._hiding, self._suspicion, forms, required)
        try:
            parsed = {number: parse_bytes(documents[number]) for number in suspects}
            if len(documents) == 1:
                walk.search(parsed[0].value)
                return [_walked(walk, documents[0], parsed[0])]
            walk.search([one.value for one in parsed.values()])
            return [_walked(walk, document, parsed.get(number)) for number, document in enumerate(documents)]
        except (Unreadable, UnicodeDecodeError, RecursionError) as error:
            raise MaskingFailed("it cannot be masked") from error

    def _suspects(self, documents: Sequence[bytes], forms: Forms) -> list[int]:
        """Return which documents may hold something; those of a stream are small, and seldom do."""
        if len(documents) > 1 and not self._suspicion.of(b"\n".join(documents), forms):
            return []
        return [number for number, document in enumerate(documents) if self._suspicion.of(document, forms)]

    def value(self, value: Any, *, literals: Literals | tuple[str, ...] = ()) -> Any:
        """Mask a parsed JSON value that is no message: arguments, facts. Raises MaskingFailed."""
        return self._plain(self._hiding, value, literals)

    def text(self, text: str, *, literals: Literals | tuple[str, ...] = ()) -> str:
        """Mask free text: a reason, a tool name, a log line. Raises MaskingFailed.

        Short texts are remembered, since every entry of the record names its tool.
        """
        return (self._short if len(text) <= _LONGEST_KEPT_TEXT else self._text)(text, literals)

    def _text(self, text: str, literals: Literals | tuple[str, ...]) -> str:
        return str(self._plain(self._hiding, text, literals))

    def for_approver(self, value: Any, *, literals: Literals | tuple[str, ...] = ()) -> Any:
        """Mask a parsed value for the people who decide on it.

        Only what is certainly a value is hidden, with its length (`[email:17 chars]`); nothing is removed,
        and a text under a masked name stays readable if it is longer than 128 characters or holds blanks,
        quotes or operators: code must not hide behind a mask. Hidden numbers become such text, too.
        """
        return self._plain(self._approver, value, literals)

    @cached_property
    def _notice(self) -> Hiding:
        return self._make_notice()

    def for_notice(self, value: Any, *, literals: Literals | tuple[str, ...] = ()) -> Any:
        """Mask a parsed value, or what `for_approver` left of one, for a message that leaves the gateway.

        As `for_approver`, but code is hidden like everything else: who must read it does so on the page.
        """
        return self._plain(self._notice, value, literals)

    def hides_text(self) -> bool:
        """Say whether any detector may change a text anywhere."""
        return bool(self._hiding.detectors)

    def hides_member(self, place: tuple[str | int, ...]) -> bool:
        """Say whether the member at this place (names as `same_name` gives them) is hidden by its name."""
        last = place[-1] if place else ""
        hidden: Hidden | None = self._hiding.fields.of(place)
        return bool(hidden or (isinstance(last, str) and self._hiding.of_key(last)))

    def hides_numbers(self) -> bool:
        """Say whether a number may become 0 because of what it is."""
        return self._hiding.hides_numbers

    def _plain(self, hiding: Hiding, value: Any, literals: Literals | tuple[str, ...]) -> Any:
        try:
            walk = Walk(hiding, self._suspicion, forms_of(literals))
            walk.search(value)
            return walk.value(value, (), Zone.DATA)
        except (Unreadable, RecursionError) as error:
            raise MaskingFailed("the value cannot be masked") from error


def _together(masked: Masked, split: Mapping[str, int]) -> Masked:
    hits = dict(masked.hits)
    for name, count in split.items():
        hits[name] = hits.get(name, 0) + count
    return Masked(masked.body, hits, changed=True)


def _walked(walk: Walk, document: bytes, parsed: Parsed | None) -> Masked:
    """Return a document masked by a walk that has searched it; None: there is nothing in it."""
    if parsed is None:
        return Masked(document, {}, changed=False)
    walk.begin()
    masked = _walk_document(walk, parsed.value)
    if not walk.hits and not parsed.doubled and not walk.reshaped:
        return Masked(document, {}, changed=False)
    return Masked(write(masked), walk.hits, changed=True)


def _walk_document(walk: Walk, value: Any) -> Any:
    if is_message(value):
        return walk.value(value, (), Zone.PROTOCOL)
    if isinstance(value, list) and value and all(map(is_message, value)):
        return [walk.value(message, (), Zone.PROTOCOL) for message in value]
    return walk.value(value, (), Zone.DATA)


class Engine:
    """The masking rules of one policy revision.

    `hash_key` (at least 16 bytes, the installation's own) keys pseudonyms; `custom` are detectors that an admin wrote
    (`masking.custom`), beside those that come with the gateway; `notices` are rules for messages alone. Raises
    ValueError for an unknown detector or a field path that cannot be read.
    """

    def __init__(
        self,
        rules: Sequence[MaskingRule],
        *,
        hash_key: bytes,
        custom: Sequence[Detector] = (),
        notices: Sequence[MaskingRule] = (),
    ) -> None:
        self._detectors = {**BY_NAME, **{detector.name: detector for detector in custom}} if custom else BY_NAME
        unknown = sorted({name for rule in (*rules, *notices) for name in rule.detectors} - self._detectors.keys())
        if unknown:
            raise ValueError(f"unknown detectors: {', '.join(unknown)}")
        Fields((*rules, *notices))
        self._rules = tuple(rules)
        self._notices = tuple(notices)
        self._hash_key = hash_key
        self._named_groups = frozenset().union(*(rule.except_groups for rule in rules))
        self._made = lru_cache(maxsize=_MOST_MASKERS)(self._make)
        self._known = lru_cache(maxsize=_MOST_MASKERS)(self._masker)

    def masker(self, connection: str, groups: frozenset[str] | None) -> Masker:
        """Return the masker for a reader in these groups; None: nobody is excepted."""
        return self._known(connection, frozenset() if groups is None else groups & self._named_groups)

    @cached_property
    def notice_masker(self) -> Masker:
        """The masker of what leaves the gateway as a message: what any rule hides, on any connection, from anybody."""
        return Masker((*self._rules, *self._notices), hash_key=self._hash_key, known=self._detectors)

    def _masker(self, connection: str, groups: frozenset[str]) -> Masker:
        return self._made(tuple(self._governing(connection, groups)))

    def _governing(self, connection: str, groups: frozenset[str]) -> list[int]:
        return [
            index for index, rule in enumerate(self._rules) if rule.governs(connection) and not rule.excepts(groups)
        ]

    def _make(self, chosen: tuple[int, ...]) -> Masker:
        rules = [self._rules[index] for index in chosen]
        return Masker(rules, hash_key=self._hash_key, known=self._detectors)
