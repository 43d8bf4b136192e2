"""A mail server on this machine: it keeps what came, and refuses as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import queue
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

GUARD = 15.0


@dataclass
class MailServer:
    """A running server. `answers` are for the next recipients, in turn: what RCPT TO is answered instead of 250."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    mails: queue.Queue[EmailMessage] = field(default_factory=queue.Queue)

    def wait(self) -> EmailMessage:
        """Return the next mail that came; fail when none comes."""
        return self.mails.get(timeout=GUARD)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.put(parsed)
        return "250 OK"


@contextlib.contextmanager
def mail_server(*, tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """Give a server that runs as long as the block does; with a context it insists on STARTTLS."""
    made = MailServer()
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if tls else {}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    begin = loop.create_server(lambda: SMTP(made, hostname="mail.test", loop=loop, **options), "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(begin, loop).result(GUARD)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(GUARD)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    talking = asyncio.all_tasks() - {asyncio.current_task()}
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    await asyncio.sleep(0)  # lets the transports close
