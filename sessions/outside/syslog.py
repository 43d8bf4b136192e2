"""A checkpoint as a syslog message: RFC 5424, over UDP, TCP with counted octets (RFC 6587) or TLS (RFC 5425)."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from datetime import UTC, datetime
from typing import Final

from sessions.anchors import EACH_MINUTE, AnchorBroken

PORTS: Final = {"syslog": 514, "syslog+tcp": 601, "syslog+tls": 6514}
_SECONDS: Final = 10
_PRIORITY: Final = 13 * 8 + 5  # log audit, notice
_ID: Final = "holdgate@32473"  # a number for examples (RFC 5612): we have none of our own


class Syslog:
    """One receiver. It answers nothing: that a message went out is all that can be known."""

    every = EACH_MINUTE

    def __init__(self, scheme: str, host: str, port: int, ca: str = "") -> None:
        self.name = f"{scheme}://{host}:{port}"
        self._scheme, self._address, self._ca = scheme, (host, port), ca

    def put(self, note: str, size: int) -> None:
        """Send the checkpoint. Raises AnchorBroken."""
        data = message(note, size, socket.gethostname(), datetime.now(UTC))
        try:
            if self._scheme == "syslog":
                self._datagram(data)
            else:
                self._stream(b"%d %s" % (len(data), data))
        except OSError as error:
            raise AnchorBroken(f"{self.name}: {error.strerror or error}") from error

    def _datagram(self, data: bytes) -> None:
        family = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, self._address)

    def _stream(self, data: bytes) -> None:
        with socket.create_connection(self._address, _SECONDS) as plain:
            if self._scheme == "syslog+tcp":
                plain.sendall(data)
                plain.shutdown(socket.SHUT_WR)
                return
            context = ssl.create_default_context(cafile=self._ca or None)
            with context.wrap_socket(plain, server_hostname=self._address[0]) as secure:
                secure.sendall(data)
                with contextlib.suppress(OSError):  # many receivers hang up without a goodbye
                    secure.unwrap()


def message(note: str, size: int, host: str, now: datetime) -> bytes:
    """Return the message: what it is for people, the note in base64 for machines."""
    lines = note.split("\n")
    told = "".join(f' {key}="{value}"' for key, value in (
        ("origin", lines[0]), ("size", size), ("root", lines[2]), ("note", base64.b64encode(note.encode()).decode()),
    ))  # fmt: skip
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{_PRIORITY}>1 {stamp} {host or '-'} holdgate - checkpoint [{_ID}{told}]"
    return f"{head} checkpoint of {size} entries of {lines[0]}".encode()
