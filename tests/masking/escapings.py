"""Ways to write a text so that a person or a program reads the same and a search for its letters finds nothing."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import quote

Way = Callable[[str], str]


def _each(form: Callable[[int], str], which: Callable[[str], bool] = lambda _: True) -> Way:
    return lambda text: "".join(form(ord(letter)) if which(letter) else letter for letter in text)


def _digits(zero: int) -> Way:
    return _each(lambda code: chr(zero + code - 48), lambda letter: letter in "0123456789")


def _between(mark: str) -> Way:
    return lambda text: mark.join(text)


def _wide(code: int) -> str:
    return chr(code + 0xFEE0) if 0x21 <= code < 0x7F else chr(code)


def _base64(encoding: str = "utf-8", url_safe: bool = False, padded: bool = True) -> Way:
    def way(text: str) -> str:
        encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
        found = encode(f"{{ {text} }} and more".encode(encoding)).decode()
        return found if padded else found.rstrip("=")

    return way


def _wrapped(text: str) -> str:
    return base64.encodebytes((f"{text} and so on; " * 5).encode()).decode()


def _json_of_codes(text: str) -> str:
    units = text.encode("utf-16-be").hex()
    return '{"a": "' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"}'


# Other letters for the same ones: they may stand inside of every code below.
FOLDED: Mapping[str, Way] = {
    "as it is": lambda text: text,
    "arabic digits": _digits(0x660),
    "devanagari digits": _digits(0x966),
    "mathematical digits": _digits(0x1D7CE),
    "full width": _each(_wide),
    "zero width": _between("\u200b"),
    "soft hyphens": _between("\u00ad"),
    "joiners": _between("\u2060"),
    "marks above": _between("\u0301"),
    "variation selectors": _between("\ufe0f"),
    "control characters": _between("\x02"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "other dashes": lambda text: text.replace("-", "\u2011"),
}
CODED: Mapping[str, Way] = {
    "percent": lambda text: quote(text, safe=""),
    "percent, all": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "entities, decimal": _each(lambda code: f"&#{code};"),
    "entities, hexadecimal": _each(lambda code: f"&#x{code:X};"),
    "entities of entities": lambda text: html.escape("".join(f"&#{ord(letter)};" for letter in text)),
    "\\u": _each(lambda code: f"\\u{code:04x}", lambda letter: ord(letter) < 0x10000),
    "\\u{}": _each(lambda code: f"\\u{{{code:x}}}"),
    "\\x": _each(lambda code: f"\\x{code:02x}", str.isascii),
    "octal": _each(lambda code: f"\\{code:03o}", str.isascii),
    "\\\\u": _each(lambda code: f"\\\\u{code:04x}", lambda letter: ord(letter) < 0x10000),
    "json": lambda text: json.dumps({"a": [text]}),
    "json, unescaped": lambda text: json.dumps([text], ensure_ascii=False),
    "json of codes": _json_of_codes,
    "json in json": lambda text: json.dumps({"b": json.dumps({"a": text})}),
    "json in a fence": lambda text: f"Here:\n```json\n{json.dumps({'a': text}, indent=2)}\n```\nDone.",
    "base64": _base64(),
    "base64 for urls": _base64(url_safe=True, padded=False),
    "base64 of utf-16": _base64("utf-16"),
    "base64 in lines": _wrapped,
}
FRAMES: tuple[str, ...] = ("{}", "see {} there", "a,b\n{},c", "| x | {} |\n", "({})", "é {} – …", "x\n{}\n")


def written(secret: str, random: Random, most: int = 3) -> tuple[str, list[str]]:
    """Return a secret in some combination of ways, each in a frame, and the names of the ways."""
    names = [random.choice(list(FOLDED))]
    text = FOLDED[names[0]](secret)
    for _ in range(random.randrange(most + 1)):
        name = random.choice(list(CODED))
        text = CODED[name](random.choice(FRAMES).replace("{}", text) if random.random() < 0.5 else text)
        names.append(name)
    return random.choice(FRAMES).replace("{}", text), names
