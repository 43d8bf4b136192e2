"""From the process that a call reached to the one that has the agent's socket: one HTTP request on a port of its own.

The request is what the agent will be sent, signed with a key of the installation, the time and a number that is taken
once; the answer comes as from any server, and faults in one header field (`proxy.stdio.faults`). The port is for the
processes of one installation: it speaks to private addresses alone, and to its own sockets, so that there is one hop.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from approvals import keys
from proxy.body import BodyTooLarge, CallerGone, read_body
from proxy.errors import Fault
from proxy.headers import Headers
from proxy.stdio import faults
from proxy.tunnel.frames import MAX_BODY, Opening, TunnelBroken

if TYPE_CHECKING:
    from proxy.tunnel.door import Agents
    from proxy.upstream_answer import Opened

log = logging.getLogger("holdgate.agents")

TIME, NONCE, SIGNATURE = "holdgate-time", "holdgate-nonce", "holdgate-signature"
# How far clocks of processes may differ, and how long a signed request is good.
WINDOW_SECONDS: Final = 30.0
_PREFIX: Final = "/agents/"
# Says that an answer is the server's, and not a refusal of the port itself.
PASSED_ON: Final = (b"holdgate-agents", b"1")
# With these the port itself refuses a request before anything of it is sent on.
REFUSED: Final = frozenset({400, 403, 413})


def path_of(agent: str) -> str:
    """Return the path at which a process is asked about its socket of an agent."""
    return f"{_PREFIX}{agent}"


def signed(path: str, body: bytes, *, now: float | None = None) -> tuple[tuple[str, str], ...]:
    """Return the fields that show another process that one of ours asks this, now and once."""
    at, nonce = f"{time.time() if now is None else now:.3f}", secrets.token_hex(16)
    return ((TIME, at), (NONCE, nonce), (SIGNATURE, keys.keyed_digest("internal hop", path, at, nonce, body)))


class Seen:
    """Which signed requests came already. Of those that are too old nothing needs to be known."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._nonces: dict[str, float] = {}

    def takes(self, headers: Headers, path: str, body: bytes) -> bool:
        """Say whether a request was signed by one of ours, is new, and did not come before."""
        at, nonce, shown = (headers.first(name) or "" for name in (TIME, NONCE, SIGNATURE))
        expected = keys.keyed_digest("internal hop", path, at, nonce, body)
        if not hmac.compare_digest(shown.encode("latin-1", "replace"), expected.encode()):
            return False
        now = self._clock()
        with suppress(StopIteration):
            while self._nonces[first := next(iter(self._nonces))] < now - 2 * WINDOW_SECONDS:
                del self._nonces[first]
        if abs(now - float(at)) > WINDOW_SECONDS or nonce in self._nonces:
            return False
        self._nonces[nonce] = now
        return True


class Hop:
    """The application on that port."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._seen = Seen()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not _is_inside(scope.get("client")) or scope["method"] != "POST":
            log.warning("a request on the internal port was refused: it is not from inside")
            await _answer(send, 403)
            return
        try:
            body = await read_body(receive, scope["headers"], MAX_BODY)
        except BodyTooLarge:
            await _answer(send, 413)
            return
        except CallerGone:
            return
        if not self._seen.takes(Headers(scope["headers"]), scope["path"], body):
            log.warning("a request on the internal port was refused: it is not signed, not new, or too old")
            await _answer(send, 403)
            return
        await _until_gone(self._serve(scope["path"].removeprefix(_PREFIX), body, send), receive)

    async def _serve(self, agent: str, body: bytes, send: Any) -> None:
        try:
            opening, sent = Opening.read(body)
            opened = await self._agents.open(agent, opening, sent)
        except TunnelBroken:
            await _answer(send, 400)
        except Fault as fault:
            await _answer(send, 502, *faults.told(fault))
        else:
            try:
                await _pass_on(opened, send)
            finally:
                await opened.close()


async def _until_gone(work: Coroutine[Any, Any, None], receive: Any) -> None:
    """Do this for as long as the other process is there: what it gave up is cancelled at the server."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _pass_on(opened: Opened, send: Any) -> None:
    """Pass an answer on to its end; a fault breaks it off."""
    fields = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in opened.headers.items()]
    fields.append(PASSED_ON)
    await send({"type": "http.response.start", "status": opened.status, "headers": fields})
    async for chunk in opened.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_inside(client: Any) -> bool:
    try:
        address = ip_address(client[0])
    except (TypeError, ValueError, IndexError):
        return False
    return address.is_private or address.is_loopback


async def _answer(send: Any, status: int, *fields: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *fields]})
    await send({"type": "http.response.body", "body": b""})
