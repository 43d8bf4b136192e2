"""Walking a JSON value and hiding what the rules cover, at any depth, also in JSON and tables inside of text.

Pure. One `Walk` masks one document and is then thrown away; it counts what it hid.
"""

from collections.abc import Sequence
from typing import Any, Final

from masking.blobs import Blob, open_blob
from masking.documents import MOST_DEPTH, Parsed, Spelled, Unreadable, parse, write
from masking.embedded import embedded, may_be_json
from masking.fields import Hidden
from masking.finding import Joined
from masking.literals import Forms, encoded
from masking.packing import packed_in
from masking.paths import Place
from masking.places import Zone, is_protocol_word, is_untouched, zone_of
from masking.spans import Hiding, Shown, count, is_plain_value
from masking.suspicion import Suspicion, texts_of
from masking.tables import mask_columns, mask_positional

# A text in a text in a text …: each one may be as long as the whole.
_MOST_NESTING: Final = 16
_CONTAINERS: Final = (dict, list, tuple)
_STRUCTURED: Final = (dict, list, str)
_UNSEEN: Final = Shown("", (), named=False, simple=False)
_SAME_FOR_ALL: Final = ("label", "remove")  # whatever the value is, its label stands for it
_NAME_NAMES: Final = ("name", "key", "field", "column", "variable")


class Walk:
    """One pass over one document, or over several one after the other.

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
        self._known: dict[str, Shown | None] = {} if forms.in_words else {**hiding.words}  # None: hides nothing
        self._forms = forms
        self._required = required
        self._nesting = 0
        # Keys whose values nothing hides for their name, and their names.
        self._ordinary: dict[str, str] = {} if forms.in_words else {**hiding.ordinary_words}

    def begin(self) -> None:
        """Begin to count anew: for the next of several documents."""
        self.hits = {}
        self.reshaped = False

    def search(self, value: Any) -> None:
        """Look into all texts of a value at once, but for those that may be JSON: only whether they are suspect.

        What is walked through later need not be searched one by one.
        """
        texts, known = texts_of(value), self._known
        flat = []
        for text in texts:
            if text in known:
                continue
            if not may_be_json(text):
                flat.append(text)
            elif not self._suspicion.of_text(text, self._forms):
                known[text] = None
        if flat:
            known.update(self._hiding.shown(flat, self._forms))

    def value(self, value: Any, place: Place, zone: Zone) -> Any:
        """Return the value with everything hidden that the rules cover. Raises Unreadable when too deep."""
        if isinstance(value, str):
            return self.text(value, place)
        if isinstance(value, _CONTAINERS):
            if len(place) >= MOST_DEPTH:
                raise Unreadable("nested too deep")
            if isinstance(value, dict):
                return (self._ordinary_object if self._is_ordinary(value) else self._object)(value, place, zone)
            return self._array(value, place, zone)
        if value is None or isinstance(value, bool):
            return value
        return self._number(value)

    def _array(self, items: Sequence[Any], place: Place, zone: Zone) -> list[Any]:
        if zone is Zone.DATA and self._hiding.fields.may_name(None):
            of = self._hiding.fields.of
            return [
                self._hide(item, hidden) if (hidden := of((*place, index))) else self.value(item, (*place, index), zone)
                for index, item in enumerate(items)
            ]
        if zone is Zone.DATA and len(place) + 1 < MOST_DEPTH:
            return self._rows(items, place)
        return [self.value(item, (*place, index), zone) for index, item in enumerate(items)]

    def _rows(self, items: Sequence[Any], place: Place) -> list[Any]:
        """Return the elements of an array of data masked: most are objects of the same few ordinary names."""
        ordinary, known = self._ordinary, self._known
        low, high = self._hiding.plain_numbers
        names: list[str] = []
        rows: list[Any] = []
        for index, item in enumerate(items):
            if not isinstance(item, dict) or not item.keys() <= ordinary.keys():
                rows.append(self.value(item, (*place, index), Zone.DATA))
                continue
            row = item.copy()
            rows.append(row)
            for key, member in item.items():
                if isinstance(member, str):
                    shown = known.get(member, _UNSEEN)
                    if shown is None:
                        continue
                    if shown.simple:
                        names += shown.names
                        row[key] = shown.text
                        continue
                elif type(member) is int and low < member < high:
                    continue
                row[key] = self.value(member, (*place, index, ordinary[key]), Zone.DATA)
        count(names, self.hits)
        return rows

    def text(self, text: str, place: Place) -> str:
        """Return the text masked: JSON in it structurally, tables by column, all else by what is found."""
        shown = self._known.get(text, _UNSEEN)
        if shown is _UNSEEN:
            if may_be_json(text):
                nested = self._nested(text, place)
                if nested is not None:
                    return nested
            shown = self._hiding.shown((text,), self._forms)[text]
        if shown is not None and shown.packed:
            text = self._repacked(text, place)
            shown = self._hiding.shown((text,), self._forms)[text]
        if shown is None:
            return text
        parts = self._around_json(text, place) if shown.named else None
        return self._flat(text, shown) if parts is None else parts

    def _flat(self, text: str, shown: Shown) -> str:
        """Return text that is no JSON masked, tables in it by column."""
        if shown.named:
            ends = "\\n" if "\n" not in text and "\\n" in text else "\n"  # lines of a text that was escaped
            columned = mask_columns(text.replace(ends, "\n"), self._column, self._hide_cells).replace("\n", ends)
            if columned != text:
                return self._hiding.mask(columned, self._forms, self.hits)
        count(shown.names, self.hits)
        return shown.text

    def _around_json(self, text: str, place: Place) -> str | None:
        """Mask JSON in the middle of a text, and what stands around it; None where none of it hides anything."""
        pieces: list[str] = []
        position = 0
        for start, end in embedded(text):
            if text.find('"', start, end) < 0:
                continue  # nothing in it has a name
            before = sum(self.hits.values())
            masked = self._json(text[start:end], place)
            if masked is not None and (sum(self.hits.values()) != before or masked != text[start:end]):
                pieces += (self._between(text[position:start]), masked)
                position = end
        return "".join((*pieces, self._between(text[position:]))) if position else None

    def _between(self, text: str) -> str:
        shown = self._hiding.shown((text,), self._forms)[text] if text else None
        return text if shown is None else self._flat(text, shown)

    def _number(self, value: Any) -> Any:
        if not self._hiding.hides_numbers:
            return value
        found = self._hiding.of_number(value.text if isinstance(value, Spelled) else value)
        return value if found is None else self._hide(value, found)

    def _object(self, members: dict[str, Any], place: Place, zone: Zone) -> dict[str, Any]:
        if zone is not Zone.SCHEMA:
            members = mask_positional(self._named_pair(members), self._column, self._hide_cell)
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
                result[key] = self.value(member, here, zone_of(here, member, zone))
        return result

    def _is_ordinary(self, members: dict[str, Any]) -> bool:
        """Say whether no name in an object hides anything or says what the others are: only its values count."""
        ordinary = self._ordinary
        if not (known := members.keys() <= ordinary.keys()):
            for key in members:
                self._name(key)
        return known or members.keys() <= ordinary.keys()

    def _ordinary_object(self, members: dict[str, Any], place: Place, zone: Zone) -> dict[str, Any]:
        names, known = self._ordinary, self._known
        low, high = self._hiding.plain_numbers
        mask = self._of_message if zone is Zone.PROTOCOL else self.value
        result: dict[str, Any] = {}
        for key, member in members.items():
            if isinstance(member, str):
                shown = known.get(member, _UNSEEN)
                if shown is None:
                    result[key] = member
                    continue
                if zone is Zone.DATA and shown.simple:
                    count(shown.names, self.hits)
                    result[key] = shown.text
                    continue
            elif type(member) is int and low < member < high:
                result[key] = member
                continue
            result[key] = mask(member, (*place, names[key]), zone)
        return result

    def _of_message(self, value: Any, place: Place, zone: Zone) -> Any:
        return value if is_untouched(place) else self.value(value, place, zone_of(place, value, zone))

    def _name(self, key: str) -> tuple[str, Hidden | None]:
        """Return the name under which a key is compared, and how a detector that knows it hides the value."""
        name, by_detector, ordinary = self._hiding.of_name(key)
        if ordinary and self._known.get(key, _UNSEEN) is None:
            self._ordinary[key] = name
        return name, by_detector

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

    def _key(self, key: str, members: dict[str, Any], result: dict[str, Any]) -> str:
        """Return the key masked, with a number where another member already has that name."""
        shown = self._known.get(key, _UNSEEN)
        if shown is None:
            return key
        if shown.packed:
            masked = self._hiding.mask(self._repacked(key, ()), self._forms, self.hits, key=True)
        elif shown is _UNSEEN or self._hiding.removes:
            masked = self._hiding.mask(key, self._forms, self.hits, key=True)
        else:
            count(shown.names, self.hits)
            masked = shown.text
        if masked == key:
            return key
        unique, number = masked, 1
        while unique in members or unique in result:
            number = number + 1 if number > 1 else len(result) + 2
            unique = f"{masked}#{number}"
        return unique

    def _count(self, hidden: Hidden, times: int = 1) -> None:
        self.hits[hidden.name] = self.hits.get(hidden.name, 0) + times

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
        shown = value.text if isinstance(value, Spelled) else str(value)
        if self._hiding.lengths:
            return self._hiding.replaced(shown, hidden.name, "label")
        return False if isinstance(value, bool) else self._hiding.replaced_number(shown, hidden)

    def _hide_text(self, text: str, hidden: Hidden) -> str:
        if not text:
            return text
        if self._hiding.lengths and self._hiding.is_ours(text):
            return text
        if self._hiding.shows_code and not is_plain_value(text):
            return self._hiding.mask(text, self._forms, self.hits)
        if self._forms and self._forms.occur_in(encoded(text)):
            text = self._hiding.mask(text, self._forms, self.hits)
            if hidden.replace == "partial":
                return text
        self._count(hidden)
        return self._hiding.replaced(text, hidden.name, "label" if hidden.replace == "remove" else hidden.replace)

    def _hide_cells(self, cells: list[str], hidden: Hidden) -> list[str]:
        """Hide cells of a column, but for those of which a detector that knows it says that they are no such value."""
        hiding = self._hiding
        if hiding.lengths or hidden.replace not in _SAME_FOR_ALL or self._forms.occur_in(encoded("\n".join(cells))):
            return [self._hide_text(cell, hidden) if hiding.hides(hidden, cell) else cell for cell in cells]
        hides = hiding.cells_hidden(hidden, cells)
        if any(hides):
            self._count(hidden, sum(hides))
        label = hiding.replaced("", hidden.name, "label")
        return [label if hides_it else cell for cell, hides_it in zip(cells, hides, strict=True)]

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

    def _hide_cell(self, cell: Any, hidden: Hidden) -> Any:
        return self._hide(cell, hidden) if self._hiding.hides(hidden, cell) else cell

    def _nested(self, text: str, place: Place) -> str | None:
        """Mask text that is JSON, or lines of JSON, structurally; None where it is neither."""
        whole = self._json(text, place)
        if whole is not None or "\n" not in text.strip():
            return whole
        lines = text.split("\n")
        try:
            found = [parse(line) if line.strip() else None for line in lines]
        except Unreadable:
            return None
        if not all(one is None or isinstance(one.value, _STRUCTURED) for one in found):
            return None
        self._deeper()
        self.search([one.value for one in found if one])
        masked = (self._written(line, one, place) if one else line for line, one in zip(lines, found, strict=True))
        text = "\n".join(masked)
        self._nesting -= 1
        return text

    def _json(self, text: str, place: Place) -> str | None:
        try:
            parsed = parse(text)
        except Unreadable:
            return None
        if not isinstance(parsed.value, _STRUCTURED):
            return None
        self._deeper()
        self.search(parsed.value)
        masked = self._written(text, parsed, place)
        self._nesting -= 1
        return masked

    def _written(self, text: str, parsed: Parsed, place: Place) -> str:
        """Return the text of a value masked; as it came where nothing in it was hidden."""
        before, reshaped = sum(self.hits.values()), self.reshaped
        masked = self.value(parsed.value, place, Zone.DATA)
        self.reshaped = reshaped or parsed.doubled
        if sum(self.hits.values()) == before and not parsed.doubled:
            return text
        return write(masked, parsed.style).decode("utf-8")

    def _repacked(self, text: str, place: Place) -> str:
        """Return a text with what stands in it as base64 masked, and packed again where that hid something."""
        self._deeper()
        joined = Joined((text,))
        found = list(packed_in(joined.view))
        pieces: list[str] = []
        position = 0
        for packed, (start, end) in zip(found, joined.characters([packed.span for packed in found]), strict=True):
            if not self._suspicion.of_text(packed.text, self._forms):
                continue
            before = sum(self.hits.values())
            masked = self.text(packed.text, place)
            if sum(self.hits.values()) != before:
                pieces += (text[position:start], packed.packed(masked))
                position = end
        self._nesting -= 1
        return "".join((*pieces, text[position:]))

    def _deeper(self) -> None:
        self._nesting += 1
        if self._nesting > _MOST_NESTING:
            raise Unreadable("texts inside of texts, too many times")

    def _blob(self, blob: Blob, place: Place) -> str:
        before = sum(self.hits.values())
        masked = self.text(blob.text, place)
        return blob.original if sum(self.hits.values()) == before and masked == blob.text else blob.closed(masked)
