"""The places to which a stream goes: a file, a syslog receiver, a signed webhook. Each takes a batch or none."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from django.conf import settings

from approvals import addresses, secret_reader
from approvals.database import database_now
from approvals.notices import post, webhooks
from approvals.outbox import Dead, Retry, Sent
from approvals.secrets import SecretUnavailable
from approvals.streams.forms import Placed, cef, ocsf, syslog

if TYPE_CHECKING:
    from approvals.config.streams import SignedPost, Stream, Syslog
    from approvals.outbox import Delivery

SECONDS: Final = 10.0
FOLDER: Final = "streams"


def send(name: str, stream: Stream, entries: Sequence[Placed]) -> Delivery:
    """Send a batch; Sent means that all of it has arrived. What is returned holds no secret and no receiver's text."""
    if stream.file is not None:
        return _to_file(stream.file, _lines(stream, entries))
    if stream.syslog is not None:
        told = zip(entries, _lines(stream, entries), strict=True)
        host = socket.gethostname()
        return _to_syslog(stream.syslog, b"".join(syslog(entry, line, host) for entry, line in told))
    if stream.webhook is not None:
        return _to_webhook(name, stream.webhook, entries)
    return Dead("it has no place to go to")


def _lines(stream: Stream, entries: Sequence[Placed]) -> list[str]:
    if stream.format == "cef":
        return [cef(entry) for entry in entries]
    return [orjson.dumps(ocsf(entry)).decode() for entry in entries]


def _to_file(name: str, lines: Sequence[str]) -> Delivery:
    """Append lines and wait for the disk. A line that a crash tore stays alone; its entry comes again, whole."""
    folder = Path(settings.STATE_DIR) / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / name).open("a+b") as file:
            if file.tell() and _is_torn(file):
                file.write(b"\n")
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Retry(f"the file cannot be written ({error.strerror})")
    return Sent({})


def _is_torn(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


def _to_syslog(receiver: Syslog, frames: bytes) -> Delivery:
    """Send frames over a connection of their own, and wait until the receiver has closed its side too.

    Syslog acknowledges nothing; a receiver that answers our end with its own (RFC 5425 §4.4) has read all before it.
    One that does not, or breaks the connection off, gets the batch again.
    """
    try:
        with _dialled(receiver) as line:
            line.sendall(frames)
            if isinstance(line, ssl.SSLSocket):
                line.unwrap().close()
            else:
                line.shutdown(socket.SHUT_WR)
                while line.recv(4096):
                    pass
    except OSError as error:
        return Retry(_said(error))
    return Sent({})


def _said(error: OSError) -> str:
    """Say what went wrong, without any text of the receiver."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted, or is of another name"
    if isinstance(error, ssl.SSLEOFError):
        return "it broke the connection off, without the end that RFC 5425 asks for"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})"
    if isinstance(error, TimeoutError):
        return f"it did not take everything within {SECONDS:g} s"
    return f"not reached ({error.strerror or type(error).__name__})"


def _dialled(receiver: Syslog) -> socket.socket:
    found = socket.getaddrinfo(receiver.host, receiver.port, type=socket.SOCK_STREAM)
    allowed = [info for info in found if not addresses.never(str(info[4][0]))]
    if not allowed:
        raise OSError(0, "its address is never dialled")
    host, port = allowed[0][4][:2]
    line = socket.create_connection((str(host), int(port)), timeout=SECONDS)
    if not receiver.tls:
        return line
    try:
        context = ssl.create_default_context(cafile=_path(receiver.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if receiver.certificate is not None:
            context.load_cert_chain(_path(receiver.certificate) or "", _path(receiver.key))
        return context.wrap_socket(line, server_hostname=receiver.host)
    except BaseException:
        line.close()
        raise


def _path(reference: str | None) -> str | None:
    return None if reference is None else reference.removeprefix("file:")


def _to_webhook(name: str, receiver: SignedPost, entries: Sequence[Placed]) -> Delivery:
    try:
        keys = [webhooks.key_of(secret_reader.configured().read(reference).reveal()) for reference in receiver.secret]
    except (SecretUnavailable, webhooks.SecretUnusable) as error:
        return Retry(f"its secret cannot be used: {error}")
    data = {"stream": name, "first": entries[0].place, "next": entries[-1].place + 1,
            "events": [ocsf(entry) for entry in entries]}  # fmt: skip
    now = database_now()
    body = orjson.dumps({"type": "record.entries", "timestamp": now.isoformat(), "data": data})
    # The same for the same batch, so that a receiver knows one that comes again.
    message = f"{name}-{entries[0].digest[:16]}-{len(entries)}"
    answer = post.post(receiver.url, body, webhooks.headers_of(message, body, keys, now))
    # A refusal for good would lose entries: the stream stands until somebody sees to it.
    return Retry(answer.reason) if isinstance(answer, Dead) else answer
