"""A server that speaks the transport of 2024-11-05: what it says comes on one stream, and it is told by POST elsewhere.

To the runner it is like the pipes of a program: what is sent goes out in order, what it says comes as messages, and it
has ended when its stream has. Nothing is sent twice, and a stream that is lost is not opened again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from proxy import sse
from proxy.errors import CredentialUnavailable, Fault, UpstreamInvalid, UpstreamUnavailable
from proxy.stdio.framing import LineTooLong
from proxy.upstream_answer import UpstreamRequest

if TYPE_CHECKING:
    from approvals.config.stdio import Limits
    from proxy.refusals import Executed
    from proxy.routes import Route
    from proxy.upstream import Upstream
    from proxy.upstream_answer import Credential, Opened

log = logging.getLogger("holdgate.stdio")

START_SECONDS = 20.0
# A server takes a message and answers on its stream: to take it needs no time of its own.
POST_SECONDS = 20.0
# What waits to be sent to a server that does not take it.
MOST_UNREAD = 8 * 1024 * 1024
LONGEST_ADDRESS = 4096
_ELSEWHERE = "It names an address for messages that is not of its own origin."
NotSent = Callable[[Fault], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server of a connection is, and how it is reached. One that is reached otherwise is another server."""

    connection: str
    url: str
    credential: Credential | None
    route: Route | None
    limits: Limits
    longest: int = 32 << 20


class Remote:
    """A server whose stream is open. `ended` is set when it is not any more, and `why` says how that came."""

    def __init__(self, launch: Address, upstream: Upstream, opened: Opened) -> None:
        self.launch = launch
        self.ended = asyncio.Event()
        self.why = ""
        self._upstream, self._opened = upstream, opened
        self._decoder = sse.Decoder(limit=launch.longest)
        self._come: list[sse.Event] = []
        self._endpoint = ""
        self._waiting: asyncio.Queue[tuple[bytes, NotSent | None]] = asyncio.Queue()
        self._unread = 0
        self._is_read = False
        self._closed = asyncio.Event()
        self._posting: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, launch: Address, upstream: Upstream) -> Remote:
        """Open the stream and learn where to send. Raises Fault; nothing was sent then."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await cls._open(launch, upstream)
        except CredentialUnavailable:
            raise
        except TimeoutError as error:
            raise UpstreamUnavailable("The server did not open its stream in time.") from error
        except (Fault, sse.EventTooLarge) as fault:
            why = f" {fault.message}" if isinstance(fault, Fault) else ""
            raise UpstreamUnavailable(f"The server's stream could not be opened.{why}") from fault

    @classmethod
    async def _open(cls, launch: Address, upstream: Upstream) -> Remote:
        request = UpstreamRequest(
            url=launch.url, verb="GET", credential=launch.credential, route=launch.route, timeout=None
        )
        opened = await upstream.open(request)
        remote = cls(launch, upstream, opened)
        try:
            _check_head(opened)
            remote._endpoint = await remote._told_endpoint()
        except BaseException:
            await opened.close()
            raise
        remote._posting = asyncio.create_task(remote._post_all())
        return remote

    async def _told_endpoint(self) -> str:
        """Return the address that the stream's first event names; what comes after it is kept."""
        async for chunk in self._opened.chunks:
            events = self._decoder.feed(chunk)
            for number, event in enumerate(events):
                if event.name == "endpoint":
                    self._come = events[number + 1 :]
                    return endpoint(self.launch.url, event.data)
        raise UpstreamInvalid("It ended before it said where to send messages.")

    def send(self, message: bytes, not_sent: NotSent | None = None) -> None:
        """Send one message after those before it; `not_sent` hears when the server does not take it.

        Raises UpstreamUnavailable: then not a byte of it is sent.
        """
        if self.ended.is_set():
            raise UpstreamUnavailable(f"The server ended {self.why}.")
        if self._unread > MOST_UNREAD:
            raise UpstreamUnavailable("The server does not take what it is sent.")
        self._unread += len(message)
        self._waiting.put_nowait((message, not_sent))

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield what the server says until its stream ends. Raises LineTooLong."""
        self._is_read = True
        try:
            for event in self._come:
                if event.data and event.name == "message":
                    yield event.data
            self._come = []
            async for chunk in self._chunks():
                for event in self._decoder.feed(chunk):
                    if event.data and event.name == "message":
                        yield event.data
                await asyncio.sleep(0)  # who says much without end must not stop everybody else
        except sse.EventTooLarge:
            raise LineTooLong(f"a message of more than {self.launch.longest} bytes") from None
        except Fault as fault:
            log.info("%s: the stream broke: %s", self.launch.connection, fault.reason)
        finally:
            self._over()
            await self._opened.close()
            self._closed.set()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the stream in pieces, up to its end or ours."""
        over = asyncio.ensure_future(self.ended.wait())
        try:
            while True:
                taking = asyncio.ensure_future(anext(self._opened.chunks, b""))
                waiting: set[asyncio.Future[Any]] = {taking, over}
                try:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not taking.done():
                        taking.cancel()
                        await asyncio.gather(taking, return_exceptions=True)
                if taking.cancelled() or not (chunk := taking.result()):
                    return
                yield chunk
        finally:
            over.cancel()

    async def end(self) -> None:
        """Close the stream, which ends the server's session; return when that is done."""
        self._over()
        if self._is_read:
            await self._closed.wait()
        else:
            await self._opened.close()

    def _over(self) -> None:
        if self.ended.is_set():
            return
        self.why = "its stream"
        self.ended.set()
        if self._posting is not None:
            self._posting.cancel()

    async def _post_all(self) -> None:
        while True:
            message, not_sent = await self._waiting.get()
            try:
                await self._post(message)
            except Fault as fault:
                log.info("%s did not take a message: %s", self.launch.connection, fault.reason)
                if not_sent is not None:
                    not_sent(fault)
            self._unread -= len(message)

    async def _post(self, message: bytes) -> None:
        request = UpstreamRequest(
            url=self._endpoint,
            body=message,
            credential=self.launch.credential,
            route=self.launch.route,
            timeout=POST_SECONDS,
            max_answer=LONGEST_ADDRESS,
            resume=False,
        )
        try:
            async with await self._upstream.exchange(request):
                return
        except UpstreamInvalid as fault:
            # Whatever it says to the POST of a message is not the answer, which comes on the stream.
            if fault.status is not None and fault.status < 300:
                return
            executed: Executed = "false" if fault.status is not None and fault.status < 500 else "unknown"
            raise UpstreamInvalid("The server did not take the message.", executed=executed) from fault


def endpoint(url: str, said: bytes) -> str:
    """Return the address to which messages are sent: of the same origin as the stream, which has the credential.

    Raises UpstreamInvalid.
    """
    try:
        named = said.decode("ascii").strip()
        target = urlsplit(urljoin(url, named))
        is_ours = _origin(target) == _origin(urlsplit(url))
    except ValueError as error:  # no ASCII, or no address
        raise UpstreamInvalid(_ELSEWHERE) from error
    if not named or len(named) > LONGEST_ADDRESS or not named.isprintable() or not is_ours or "@" in target.netloc:
        raise UpstreamInvalid(_ELSEWHERE)
    return target._replace(fragment="").geturl()


def _origin(address: SplitResult) -> tuple[str, str | None, int | None]:
    usual = {"http": 80, "https": 443}.get(address.scheme)
    return address.scheme, address.hostname, usual if address.port is None else address.port


def _check_head(opened: Opened) -> None:
    if opened.status in {401, 403}:
        raise CredentialUnavailable("The upstream refused the gateway's credential.", status=opened.status)
    kind = opened.headers.get("content-type", "").partition(";")[0].strip().lower()
    if opened.status != 200 or kind != "text/event-stream":
        raise UpstreamInvalid("It does not answer GET with a stream, as servers of 2024-11-05 do.")
