"""Slack's end of Socket Mode: hands clicks to whoever is connected, one connection each, and waits for the answer."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.slack import GUARD, FakeSlack

_count = itertools.count(1)


@dataclass
class SocketMode:
    """The connections that are open, and the answers that came over them."""

    slack: FakeSlack
    open: list[ServerConnection] = field(default_factory=list)
    connected: int = 0
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def deliver(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Hand a click over as Slack does, and return its answer in the form of one over HTTP."""
        payload = json.loads(parse_qs(body.decode())["payload"][0])
        envelope = f"envelope-{next(_count)}"
        message = {"type": "interactive", "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        self.wait_until_open().send(json.dumps(message))
        answer = self.slack.wait_for(lambda: self.answers.get(envelope), "an acknowledgement")
        given = answer.get("payload")
        return 200, json.dumps(given).encode() if given else b""

    def wait_until_open(self, times: int = 0) -> ServerConnection:
        """Wait until somebody has connected, for the so-manieth time when given; return the newest connection."""
        self.slack.wait_for(lambda: self.open and self.connected >= times, "a connection")
        return self.open[-1]

    def say(self, message: Mapping[str, Any]) -> None:
        """Send something to the newest connection."""
        self.open[-1].send(json.dumps(message))

    def drop(self) -> None:
        """Cut every connection."""
        for connection in list(self.open):
            connection.close_socket()

    def serve(self, connection: ServerConnection) -> None:
        """Greet a client, and keep what it answers."""
        with self.slack.changed:
            self.open.append(connection)
            self.connected += 1
            connection.send(json.dumps({"type": "hello", "num_connections": len(self.open)}))
            self.slack.changed.notify_all()
        try:
            for text in connection:
                answer = json.loads(text)
                with self.slack.changed:
                    self.answers[answer["envelope_id"]] = answer
                    self.slack.changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            with self.slack.changed:
                self.open.remove(connection)
                self.slack.changed.notify_all()


@contextmanager
def socket_mode(slack: FakeSlack) -> Iterator[SocketMode]:
    """Let a Slack offer Socket Mode."""
    mode = SocketMode(slack)
    with serve(mode.serve, "127.0.0.1", 0) as server:
        slack.sockets = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/link/?ticket=t"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield mode
        finally:
            mode.drop()
            server.shutdown()
            thread.join(GUARD)
