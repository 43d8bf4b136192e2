"""A TLS server on OpenSSL's own sockets, which says by an alert that it does not take a client's certificate."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.certificates import Authority


class MutualServer(ThreadingHTTPServer):
    """Takes clients of one authority alone; `calls` has the bodies of what they sent."""

    daemon_threads = True

    def __init__(self, authority: Authority, version: ssl.TLSVersion) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[bytes] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = version
        certificate, key = authority.issue("127.0.0.1", file=f"mutual-{version.name}")
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}/mcp"


class _Handler(BaseHTTPRequestHandler):
    server: MutualServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.calls.append(body)
        answer = json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": {}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def mutual_server(authority: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[MutualServer]:
    """Give such a server that speaks this version at most; it is closed at the end."""
    with MutualServer(authority, version) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)
