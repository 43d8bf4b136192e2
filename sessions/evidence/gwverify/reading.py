"""Lines of JSON out of a bundle. Pure but for reading."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, Final

_BLOCK: Final = 1 << 20
_SCAN: Final = json.JSONDecoder().raw_decode


def lines(bundle: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """Yield the value of each line of a file. Raises KeyError, ValueError, and what zipfile raises."""
    with bundle.open(name) as file:
        unbuffered: Any = file  # read a line at a time it is several times as slow
        for line in io.TextIOWrapper(io.BufferedReader(unbuffered, _BLOCK), "utf-8", newline="\n"):
            yield parsed(line)


def parsed(text: str) -> Any:
    """Return the value of a text that is one of JSON, with nothing around it but a line feed. Raises ValueError."""
    # json.loads spends as much again on white space and encodings that our files do not have.
    value, end = _SCAN(text)
    if end != len(text) and text[end:] != "\n":
        raise ValueError("something follows a value of JSON")
    return value


def unhex(text: str) -> bytes:
    """Return the bytes of lower-case hex without blanks, so nothing has two spellings. Raises ValueError."""
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError("not lower-case hex")
    return data


def unbase64(text: str) -> bytes:
    """Return the bytes of canonical base64. Raises ValueError for any other spelling."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data
