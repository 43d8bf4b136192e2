"""The agent's WebSocket to the gateway: the one file of the agent that knows an HTTP library."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.tunnel import frames

if TYPE_CHECKING:
    from approvals.secrets import Secret
    from proxy.routes import Route

CONNECT_SECONDS = 15.0
# The gateway answers a ping at once; without an answer in half of this the socket is given up.
PING_SECONDS = 20.0


class NotConnected(Exception):
    """There is no socket. `status` is that of the gateway's answer, 0 without one."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Wire:
    """One socket that stands."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """Send one message. Raises OSError when the socket is gone."""
        await self._socket.send_bytes(message)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield what comes until the socket is closed, by whomever."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            yield message.data

    @property
    def why(self) -> tuple[int, str]:
        """With which code and words it was closed."""
        code = self._socket.close_code or 1006
        return code, _WORDS.get(code, f"code {code}")

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


# Codes of the gateway's own, see proxy.tunnel.door.
REVOKED, REPLACED, BROKEN = 4403, 4409, 4400
_WORDS = {
    REVOKED: "the token was revoked",
    REPLACED: "another process of this agent dialled in",
    BROKEN: "the gateway did not understand this agent; is it of another version?",
    1000: "closed",
    1001: "the gateway goes away",
    1006: "the connection broke",
    1012: "the gateway restarts",
}


@asynccontextmanager
async def dialled(address: str, token: Secret, route: Route | None, build: str) -> AsyncIterator[Wire]:
    """Dial in, and give the socket. Raises NotConnected."""
    along: dict[str, Any] = {"ssl": route.tls or True, "proxy": route.proxy} if route is not None else {}
    if route is not None and route.server_name is not None:
        along["server_hostname"] = route.server_name
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, timeout=timeout) as session:
        try:
            socket = await session.ws_connect(
                address,
                headers={"authorization": f"Bearer {token.reveal()}", "user-agent": f"holdgate-agent/{build}"},
                heartbeat=PING_SECONDS,
                compress=0,
                max_msg_size=frames.LARGEST_FRAME + 1,
                **along,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise NotConnected(f"the gateway answered with status {error.status}", error.status) from None
        except ssl.SSLCertVerificationError:
            raise NotConnected("the gateway's certificate is not trusted (`tls.ca`)") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotConnected(f"the gateway cannot be reached ({type(error).__name__})") from None
        try:
            yield Wire(socket)
        finally:
            await socket.close()
