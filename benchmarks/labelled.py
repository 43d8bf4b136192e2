"""A corpus of labelled documents: every kind of value, and as much that is near it, in every shape of an answer.

The same in every run: drawn from tables with one seed. A shape takes a value, and the name it stands behind or none,
and makes a document and the form in which the value stands in it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from benchmarks.labelled_keys import drawing
from benchmarks.labelled_values import KINDS, Value

EACH: Final = 180
"""How many values of each kind, and as many near misses."""
_SEED: Final = 20261128

Shape = Callable[[Value], tuple[str, str]]


class Item(NamedTuple):
    """One document (JSON, as a server sends it), its kind and shape, and the text in it.

    `planted` is the form in which the value stands in the text; a near miss must come back as it is.
    """

    kind: str
    shape: str
    near: bool
    text: str
    planted: str

    @property
    def document(self) -> bytes:
        """The result of a tool whose text block this is, or whose structured content, where the text is such."""
        if self.shape in _STRUCTURED:
            return f'{{"jsonrpc":"2.0","id":7,"result":{{"structuredContent":{self.text},"content":[]}}}}'.encode()
        result = {"content": [{"type": "text", "text": self.text}], "isError": False}
        return json.dumps({"jsonrpc": "2.0", "id": 7, "result": result}, ensure_ascii=False).encode()


def _assigned(value: Value, sign: str = ": ") -> str:
    return f"{value.name}{sign}{value.text}" if value.name else value.text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _prose(value: Value) -> tuple[str, str]:
    return f"As agreed with the desk, {_assigned(value)} is what we keep on file.", value.text


def _line(value: Value) -> tuple[str, str]:
    return f"first line\n{_assigned(value)}\nlast line", value.text


def _log(value: Value) -> tuple[str, str]:
    return (
        f"2026-11-28T09:15:00Z INFO worker took a job {_assigned(value, '=')}\n2026-11-28T09:15:01Z INFO done",
        value.text,
    )


def _member(value: Value) -> tuple[str, str]:
    name = json.dumps(value.name or "note")
    return f'{{"rows":[{{"row":1,{name}:"{_quoted(value.text)}"}}]}}', _quoted(value.text)


def _json_in_text(value: Value) -> tuple[str, str]:
    text, planted = _member(value)
    return f'{{"answer":"{_quoted(text)}"}}', _quoted(planted)


def _csv(value: Value) -> tuple[str, str]:
    cell = f'"{value.text}"' if any(sign in value.text for sign in ',;"\n') else value.text
    return f"row,{value.name or 'note'},state\n1,{cell},open\n2,,closed\n", value.text


def _markdown(value: Value) -> tuple[str, str]:
    cell = value.text.replace("\n", "<br>")
    return f"| row | {value.name or 'note'} |\n|---|---|\n| 1 | {cell} |\n| 2 | |\n", cell


def _url(value: Value) -> tuple[str, str]:
    name = quote(value.name or "q")
    return f"see https://portal.acme.test/find?{name}={quote(value.text, safe='')}&page=2", quote(value.text, safe="")


def _code(value: Value) -> tuple[str, str]:
    name = value.name.replace(" ", "_") or "given"
    return f'# set by hand\n{name} = "{_quoted(value.text)}"\nrun(mode)\n', _quoted(value.text)


def _escaped(value: Value) -> tuple[str, str]:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in value.text)
    return f'{{"{value.name or "note"}":"{escaped}"}}', escaped


def _wide(value: Value) -> tuple[str, str]:
    """Digits and signs of full width, as input methods of East Asia write them."""
    wide = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in value.text)
    return f"noted: {value.name}：{wide} （see above）" if value.name else f"noted： {wide} （see above）", wide


def _invisible(value: Value) -> tuple[str, str]:
    middle = len(value.text) // 2
    broken = value.text[:middle] + "\u200b" + value.text[middle:]
    return f"noted {_assigned(Value(broken, value.name))} there", broken


def _markup(value: Value) -> tuple[str, str]:
    cell = html.escape(value.text)
    return f"<tr><td>{value.name or 'note'}: {cell}</td></tr>", cell


SHAPES: Final[dict[str, Shape]] = {
    "prose": _prose,
    "line": _line,
    "log": _log,
    "JSON": _member,
    "JSON in text": _json_in_text,
    "CSV": _csv,
    "Markdown table": _markdown,
    "URL": _url,
    "code": _code,
    "escaped": _escaped,
    "full width": _wide,
    "zero width": _invisible,
    "HTML": _markup,
}
PLAIN: Final = frozenset(("prose", "line", "log"))
_STRUCTURED: Final = frozenset(("JSON", "JSON in text", "escaped"))


def items(each: int = EACH) -> Iterator[Item]:
    """Yield the corpus: of every kind so many values and near misses, going through the shapes in turn."""
    for number, (kind, makers) in enumerate(KINDS.items()):
        for near, make in enumerate(makers):
            draw = drawing(_SEED + 2 * number + near)
            for count in range(each):
                shape = tuple(SHAPES)[count % len(SHAPES)]
                text, planted = SHAPES[shape](make(draw))
                yield Item(kind, shape, bool(near), text, planted)
