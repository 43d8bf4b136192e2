"""The frames of the stdio transport: one JSON-RPC message a line (MCP, transports, stdio). Pure; bytes are kept."""

from __future__ import annotations


class LineTooLong(ValueError):
    """A line has more bytes than the connection allows, and has not ended yet."""


class Lines:
    """Cuts what comes from a pipe into lines, however it was cut on its way. `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in this chunk, without their ends; empty ones are left out. Raises LineTooLong."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for part in ended:
            self._take(part)
            line = b"".join(self._begun).removesuffix(b"\r")
            self._begun, self._size = [], 0
            if line.strip():
                lines.append(line)
        self._take(rest)
        return lines

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise LineTooLong(f"a line of more than {self._limit} bytes")
        if part:
            self._begun.append(part)


def framed(message: bytes) -> bytes:
    """Return a JSON message as one line: line ends inside it can only be white space, which means nothing."""
    if b"\n" in message or b"\r" in message:
        message = message.replace(b"\r", b" ").replace(b"\n", b" ")
    return message + b"\n"
