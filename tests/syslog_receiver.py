"""A receiver of RFC 5424 messages in frames of RFC 5425, over TLS or plain TCP, that can also misbehave."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

GUARD = 15.0
MESSAGE = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<ts>\S+) (?P<host>\S+) (?P<app>\S+) (?P<proc>\S+) (?P<id>\S+) "
    r"(?P<sd>\[[^]]*\]) (?P<msg>.*)",
    re.DOTALL,
)


@dataclass
class SyslogReceiver:
    """A running receiver. `broken` connections are cut after so many bytes, in turn; `messages` came whole."""

    port: int = 0
    broken: list[int] = field(default_factory=list)
    messages: queue.Queue[re.Match[str]] = field(default_factory=queue.Queue)

    def wait(self) -> re.Match[str]:
        """Return the next message; fail when none comes."""
        return self.messages.get(timeout=GUARD)

    def serve(self, line: socket.socket) -> bool:
        """Read one connection to its end; say whether it came to that, or is cut."""
        cut, data = self.broken.pop(0) if self.broken else None, b""
        while chunk := line.recv(65536 if cut is None else cut):
            data += chunk
            if cut is not None and len(data) >= cut:
                return False
        while data:
            length, _, rest = data.partition(b" ")
            found = MESSAGE.fullmatch(rest[: int(length)].decode())
            assert found is not None, rest[:200]
            self.messages.put(found)
            data = rest[int(length) :]
        return True


@contextlib.contextmanager
def syslog_receiver(tls: ssl.SSLContext | None = None) -> Iterator[SyslogReceiver]:
    """Give a receiver that runs as long as the block does."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    made, stopping = SyslogReceiver(port=listener.getsockname()[1]), threading.Event()

    def run() -> None:
        while not stopping.is_set():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            line.settimeout(GUARD)
            with contextlib.suppress(OSError), line:
                if tls is None:
                    made.serve(line)
                    continue
                with tls.wrap_socket(line, server_side=True) as secured:
                    if made.serve(secured):
                        secured.unwrap()

    thread = threading.Thread(target=run, name="syslog", daemon=True)
    thread.start()
    try:
        yield made
    finally:
        stopping.set()
        thread.join(GUARD)
        listener.close()
