"""The one door of outgoing notifications: an HTTP POST to an address of the configuration, and to no other.

No redirect is followed, no proxy or credential is taken from the environment, the answer's body is never read, and
all of it, from the connection to the answer's head, has one deadline: who trickles is cut off. (The look-up of a name
has that of the system's resolver, which cannot be called off.)
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

from approvals import addresses
from approvals.origins import LOOPBACK
from approvals.outbox import Dead, Delivery, Retry, Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 10.0
FIRST_RETRY: Final = 5.0
LONGEST_RETRY: Final = 3600.0
# What a receiver answers that will have it later; every other 4xx stays what it is.
_LATER: Final = frozenset({408, 409, 423, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a receiver's answer. `retry_after` is in seconds, 0 when it did not say."""

    status: int
    retry_after: float = 0.0

    @property
    def outcome(self) -> Delivery:
        """What it means for the message."""
        if 200 <= self.status < 300:
            return Sent({"status": self.status})
        said = f"answered {self.status}"
        if self.status >= 500 or self.status in _LATER:
            return Retry(said, self.retry_after)
        if 300 <= self.status < 400:
            return Dead(f"{said}; redirects are not followed")
        return Dead(f"{said}; the receiver is gone" if self.status == 410 else said)


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float = SECONDS) -> Delivery:
    """Send one message within so many seconds. Plain http goes to this machine alone.

    What is returned names neither the address, which may be a secret, nor any text of the receiver.
    """
    answer = ask(url, body, headers, seconds=seconds)
    return answer.outcome if isinstance(answer, Answer) else answer


def is_encrypted(url: str) -> bool:
    """Say whether what is posted to this address leaves this machine encrypted, or not at all."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def ask(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float = SECONDS) -> Answer | Retry | Dead:
    """Do the same, for who wants to read the status; Retry and Dead say why there is none."""
    if not is_encrypted(url):
        return Dead("the address is not https")
    try:
        return asyncio.run(_post(url, body, headers, seconds))
    except TimeoutError:
        return Retry(f"no answer within {seconds:g} s")
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        return Dead("the address cannot be used")
    except httpx.HTTPError as error:
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
        if "never dialled" in str(error):
            return Dead("its address is never dialled")
        return Retry("its certificate is not trusted" if untrusted else f"not reached ({type(error).__name__})")


async def _post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
    everything = {"Content-Type": "application/json", "User-Agent": "Holdgate", **headers}
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, follow_redirects=False, trust_env=False, transport=_transport()) as client,
        client.stream("POST", url, content=body, headers=everything) as response,
    ):
        return Answer(response.status_code, retry_after(response.headers.get("retry-after", "")))


class _Guarded(httpcore.AnyIOBackend):
    """Dials an address that it has looked at, and none that is never dialled, whatever the name said before."""

    async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        places = dict.fromkeys(str(info[4][0]) for info in found)
        failed: Exception = httpcore.ConnectError("its address is never dialled")
        for place in (place for place in places if not addresses.never(place)):
            try:
                return await super().connect_tcp(place, port, *rest, **more)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def _transport() -> httpx.AsyncHTTPTransport:
    transport = httpx.AsyncHTTPTransport(verify=_trusted(), trust_env=False)
    # No public switch exists for this one.
    transport._pool._network_backend = _Guarded()
    return transport


@cache
def _trusted() -> ssl.SSLContext:
    """Return the system's trust store, where an operator puts the authority of their own house."""
    return ssl.create_default_context()


def retry_after(value: str) -> float:
    """Read a Retry-After field (RFC 9110 §10.2.3): seconds or a date; at most an hour, 0 for anything else."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.fromtimestamp(time.time(), UTC)).total_seconds(), 0.0), LONGEST_RETRY)
