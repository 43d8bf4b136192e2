"""Walking a JSON value and hiding what the rules cover, at any depth, also in JSON and tables inside of text.

Pure. One `Walk` masks one document and is then thrown away; it counts what it hid.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

from masking.blobs import Blob, open_blob
from masking.detectors import BY_NAME, is_card_number
from masking.documents import MOST_DEPTH, Spelled, Unreadable, read, write
from masking.fields import Hidden
from masking.folding import same_name
from masking.literals import Forms
from masking.paths import Place
from masking.places import begins_data, is_protocol_word, is_schema, is_untouched
from masking.spans import Hiding, is_plain_value
from masking.suspicion import Suspicion, texts_of
from masking.tables import mask_columns

_MOST_NESTING: Final = 5
_FEWEST_CARD_DIGITS: Final = 12
_REMEMBERED: Final = 256  # characters; longer texts seldom repeat
_COLUMN_NAMES: Final = ("columns", "fields", "headers", "header")
_ROW_NAMES: Final = ("rows", "data", "values", "records")
_NAME_NAMES: Final = ("name", "key", "field", "column", "variable")


class Zone(Enum):
    """What names mean where the walk is: the protocol's own, names of a schema, or the server's data."""

    PROTOCOL = auto()
    SCHEMA = auto()
    DATA = auto()


class Walk:
    """One pass over one document.

    `forms` are the forms of secrets to hide everywhere; `required` names (as `same_name` gives them) that the
    output schema demands, where removal becomes a label. `hits` counts by detector or field.
    """

    def __init__(
        self, hiding: Hiding, suspicion: Suspicion, forms: Forms, required: frozenset[str] = frozenset()
    ) -> None:
        self.hits: dict[str, int] = {}
        self.reshaped = False  # an object had a key twice: its first value must not survive in the old bytes
        self._hiding = hiding
        self._suspicion = suspicion
        self._clean: frozenset[str] = frozenset()
        self._forms = forms
        self._required = required
        self._nesting = 0
        self._texts: dict[str, str] = {}
        self._names: dict[str, tuple[str, Hidden | None]] = {}

    def document(self, value: Any, place: Place, zone: Zone) -> Any:
        """Return a whole value masked like `value`, after a search of all its texts at once."""
        self._clean |= self._suspicion.clean(texts_of(value), self._forms)
        return self.value(value, place, zone)

    def value(self, value: Any, place: Place, zone: Zone) -> Any:
        """Return the value with everything hidden that the rules cover. Raises Unreadable when too deep."""
        if isinstance(value, str):
            return self.text(value, place)
        if isinstance(value, dict | list | tuple):
            if len(place) >= MOST_DEPTH:
                raise Unreadable("nested too deep")
            if isinstance(value, dict):
                return self._object(value, place, zone)
            return [self._element(item, (*place, index), zone) for index, item in enumerate(value)]
        if value is None or isinstance(value, bool):
            return value
        return self._number(value)

    def text(self, text: str, place: Place) -> str:
        """Return the text masked: JSON in it structurally, tables by column, all else by what is found."""
        if text in self._clean:
            return text
        known = self._texts.get(text)
        if known is not None:
            return known
        if text[:1] in '{["' or text[:1].isspace():
            nested = self._nested(text, place)
            if nested is not None:
                return nested
        masked = text
        if "\n" in text:
            masked = mask_columns(text, self._column, self._hide_text)
        masked = self._hiding.mask(masked, self._forms, self.hits)
        if len(text) <= _REMEMBERED and masked == text:
            self._texts[text] = masked
        return masked

    def _number(self, value: Any) -> Any:
        if "credit_card" not in self._hiding.detectors:
            return value
        if isinstance(value, int):
            hidden = is_card_number(value)
        else:
            spelling = value.text if isinstance(value, Spelled) else str(value)
            hidden = len(spelling) >= _FEWEST_CARD_DIGITS and any(
                True for _ in BY_NAME["credit_card"].find(spelling.encode("ascii", "replace"))
            )
        return self._hide(value, Hidden("credit_card", "label")) if hidden else value

    def _element(self, item: Any, place: Place, zone: Zone) -> Any:
        hidden = self._hiding.fields.of(place) if zone is Zone.DATA else None
        return self._hide(item, hidden) if hidden else self.value(item, place, zone)

    def _object(self, members: dict[str, Any], place: Place, zone: Zone) -> dict[str, Any]:
        if zone is not Zone.SCHEMA:
            members = self._positional(self._named_pair(members))
        blob = open_blob(members)
        result: dict[str, Any] = {}
        for key, member in members.items():
            name, by_detector = self._name(key)
            here = (*place, name)
            if zone is Zone.PROTOCOL and is_untouched(here):
                result[key] = member
                continue
            hidden = self._hidden(here, by_detector, member, zone)
            if hidden and self._drops(hidden, name, zone):
                self._count(hidden)
                continue
            key = self._key(key, members, result) if zone is not Zone.SCHEMA else key
            if hidden:
                result[key] = self._hide(member, hidden)
            elif blob and name == "blob":
                result[key] = self._blob(blob, here)
            else:
                result[key] = self.value(member, here, self._zone_of(here, member, zone))
        return result

    def _name(self, key: str) -> tuple[str, Hidden | None]:
        """Return the name under which a key is compared, and how a detector that knows it hides the value."""
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = (same_name(key), self._hiding.of_key(key))
        return known

    def _hidden(self, place: Place, by_detector: Hidden | None, member: Any, zone: Zone) -> Hidden | None:
        if zone is Zone.SCHEMA or (zone is Zone.PROTOCOL and is_protocol_word(place)):
            return None
        by_field = self._hiding.fields.of(place)
        if by_field:
            return by_field
        return by_detector if by_detector and self._hiding.hides(by_detector, member) else None

    def _drops(self, hidden: Hidden, name: str, zone: Zone) -> bool:
        removes = hidden.replace == "remove" and not self._hiding.lengths
        return removes and zone is Zone.DATA and name not in self._required

    @staticmethod
    def _zone_of(place: Place, member: Any, zone: Zone) -> Zone:
        if zone is not Zone.PROTOCOL:
            return zone
        if is_schema(place):
            return Zone.SCHEMA
        return Zone.DATA if begins_data(place, member) else zone

    def _key(self, key: str, members: dict[str, Any], result: dict[str, Any]) -> str:
        """Return the key masked, with a number where another member already has that name."""
        if key in self._clean:
            return key
        masked = self._hiding.mask(key, self._forms, self.hits, key=True)
        if masked == key:
            return key
        unique, number = masked, 1
        while unique in members or unique in result:
            number = number + 1 if number > 1 else len(result) + 2
            unique = f"{masked}#{number}"
        return unique

    def _count(self, hidden: Hidden) -> None:
        self.hits[hidden.name] = self.hits.get(hidden.name, 0) + 1

    def _hide(self, value: Any, hidden: Hidden) -> Any:
        """Hide a whole value, or every scalar in it; it keeps its type. An approver sees lengths."""
        if isinstance(value, dict):
            return {self._key(key, value, {}): self._hide(member, hidden) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self._hide(item, hidden) for item in value]
        if value is None:
            return None
        if isinstance(value, str):
            return self._hide_text(value, hidden)
        self._count(hidden)
        if self._hiding.lengths:
            shown = value.text if isinstance(value, Spelled) else str(value)
            return self._hiding.replaced(shown, hidden.name, "label")
        return False if isinstance(value, bool) else 0

    def _hide_text(self, text: str, hidden: Hidden) -> str:
        if not text:
            return text
        if self._hiding.lengths and not is_plain_value(text):
            return self._hiding.mask(text, self._forms, self.hits)
        if any(form in text for form in self._forms.texts):
            text = self._hiding.mask(text, self._forms, self.hits)
            if hidden.replace == "partial":
                return text
        self._count(hidden)
        return self._hiding.replaced(text, hidden.name, "label" if hidden.replace == "remove" else hidden.replace)

    def _column(self, name: str) -> Hidden | None:
        return self._hiding.fields.of_column(name) or self._hiding.of_key(name)

    def _named_pair(self, members: dict[str, Any]) -> dict[str, Any]:
        """Hide the value of `{"name": "DB_PASSWORD", "value": "…"}`, where the name is a value itself."""
        if "value" not in members:
            return members
        for key in _NAME_NAMES:
            name = members.get(key)
            hidden = self._column(name) if isinstance(name, str) else None
            if hidden and self._hiding.hides(hidden, members["value"]):
                return {**members, "value": self._hide(members["value"], hidden)}
        return members

    def _positional(self, members: dict[str, Any]) -> dict[str, Any]:
        """Hide cells of `{"columns": ["ssn", …], "rows": [["…", …], …]}`, as SQL servers answer."""
        names = next((members[key] for key in _COLUMN_NAMES if isinstance(members.get(key), list)), None)
        if names is None:
            return members
        hidden = {index: how for index, name in _titles(names) if (how := self._column(name))}
        if not hidden:
            return members
        return {
            key: [self._row(row, hidden) for row in rows] if key in _ROW_NAMES and isinstance(rows, list) else rows
            for key, rows in members.items()
        }

    def _row(self, row: Any, hidden: dict[int, Hidden]) -> Any:
        if not isinstance(row, list):
            return row
        return [
            self._hide(cell, hidden[index]) if index in hidden and self._hiding.hides(hidden[index], cell) else cell
            for index, cell in enumerate(row)
        ]

    def _nested(self, text: str, place: Place) -> str | None:
        """Mask text that is JSON, or lines of JSON, structurally; None where it is neither."""
        if self._nesting >= _MOST_NESTING or text.lstrip()[:1] not in {"{", "[", '"'}:
            return None
        whole = self._json(text, place)
        if whole is not None or "\n" not in text.strip():
            return whole
        lines = []
        for line in text.split("\n"):
            masked = self._json(line, place) if line.strip() else line
            if masked is None:
                return None
            lines.append(masked)
        return "\n".join(lines)

    def _json(self, text: str, place: Place) -> str | None:
        before, reshaped = sum(self.hits.values()), self.reshaped
        try:
            value, doubled = read(text)
        except Unreadable:
            return None
        if not isinstance(value, dict | list | str):
            return None
        self._nesting += 1
        masked = self.document(value, place, Zone.DATA)
        self._nesting -= 1
        self.reshaped = reshaped or doubled
        if sum(self.hits.values()) == before and not doubled:
            return text
        return write(masked, indented="\n" in text.strip()).decode("utf-8")

    def _blob(self, blob: Blob, place: Place) -> str:
        before = sum(self.hits.values())
        masked = self.text(blob.text, place)
        return blob.original if sum(self.hits.values()) == before and masked == blob.text else blob.closed(masked)


def _titles(names: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield the position and title of every column that is named by a string or by `{"name": …}`."""
    for index, item in enumerate(names):
        title = item.get("name") if isinstance(item, dict) else item
        if isinstance(title, str):
            yield index, title
