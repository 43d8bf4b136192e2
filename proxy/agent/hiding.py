"""The secrets that this agent knows, kept out of what it says: what goes to the gateway, and what it logs.

The gateway masks whatever its rules name; of the servers' credentials it knows nothing, so they are hidden here.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from approvals import known
from masking.literals import Literals, forms_of

HIDDEN = b"*"


class Hiding:
    """Hides known secrets in a body that comes in pieces. A secret has no line break in any of its forms."""

    def __init__(self) -> None:
        # As late as possible: a credential is known from its reading on.
        self._forms = tuple(
            form.encode("utf-8", "surrogatepass") for form in forms_of(Literals(known.literals())).texts
        )
        self._kept = b""

    def piece(self, chunk: bytes) -> bytes:
        """Return what may go out by now: all but an end that may be the beginning of a secret."""
        chunk = self._kept + chunk
        kept = self._beginning(chunk) if chunk and not chunk.endswith(b"\n") else 0
        done, self._kept = chunk[: len(chunk) - kept], chunk[len(chunk) - kept :]
        return self._hidden(done)

    def end(self) -> bytes:
        """Return what was kept back."""
        kept, self._kept = self._kept, b""
        return self._hidden(kept)

    def whole(self, body: bytes) -> bytes:
        """Return a body that came whole, or a field of a head."""
        return self._hidden(body)

    def _hidden(self, text: bytes) -> bytes:
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN * len(form))
        return text

    def _beginning(self, chunk: bytes) -> int:
        """Return the length of the longest end that is the beginning of a secret."""
        longest = 0
        for form in self._forms:
            start = max(0, len(chunk) - len(form) + 1)
            while (start := chunk.find(form[:1], start)) >= 0:
                if form.startswith(chunk[start:]):
                    longest = max(longest, len(chunk) - start)
                    break
                start += 1
        return longest


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, without a secret."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        text = Hiding().whole(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"ts": time, "level": record.levelname, "logger": record.name, "message": text}
        return json.dumps(line, ensure_ascii=False)
