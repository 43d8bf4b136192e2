"""Base64 `blob` members of resources whose type is text, JSON, XML or CSV. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from masking.documents import Unreadable

_TEXTUAL: Final = re.compile(r"(?i)^\s*(?:text/|[a-z]+/(?:[a-z0-9.\-]+\+)?(?:json|xml|csv|yaml|sql|javascript|toml)\b)")
_UNSURE: Final = re.compile(r"(?i)^\s*(?:application/octet-stream\b.*)?$")


@dataclass(frozen=True, slots=True)
class Blob:
    """The text in a blob, the blob as it came, and the encoding of the text."""

    text: str
    original: str
    encoding: str

    def closed(self, text: str) -> str:
        """Return a blob with this text in the encoding of the one that came."""
        return base64.b64encode(text.encode(self.encoding, "replace")).decode("ascii")


def open_blob(members: dict[str, Any]) -> Blob | None:
    """Return the text of a resource's blob, or None where there is none or it is no text.

    Without a type, what decodes as UTF-8 is text. Raises Unreadable where a blob says it is text and is no
    base64, since what cannot be read cannot be masked.
    """
    blob = members.get("blob")
    if not isinstance(blob, str):
        return None
    kind = members.get("mimeType")
    kind = kind if isinstance(kind, str) else ""
    textual = bool(_TEXTUAL.match(kind))
    if not textual and not _UNSURE.match(kind):
        return None
    try:
        compact = "".join(blob.split()).replace("-", "+").replace("_", "/").rstrip("=")
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        if textual:
            raise Unreadable("a blob of text is not base64") from error
        return None
    return _decoded(data, blob, textual=textual)


def _decoded(data: bytes, blob: str, *, textual: bool) -> Blob | None:
    encodings = ["utf-8"]
    if textual:
        marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        encodings = ["utf-16", "latin-1"] if marked else ["utf-8", "latin-1"]
    for encoding in encodings:
        try:
            return Blob(data.decode(encoding), blob, encoding)
        except UnicodeDecodeError:
            continue
    return None
