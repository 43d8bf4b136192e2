"""One small document over HTTP: of an issuer or an authorization server, at an address that was checked.

Within a time and a size, without a redirect, and only what came as it is.
"""

from __future__ import annotations

import asyncio
import ipaddress

import httpx


async def fetch(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, *, seconds: float, most: int
) -> tuple[int, bytes]:
    """Send a request and return the status and body of its answer.

    Raises ValueError for a body that is too large or encoded, and what the transport raises; TimeoutError among it.
    """
    request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
    async with asyncio.timeout(seconds):  # the whole of it: a body that trickles would pass the others
        response = await transport.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                # Not asked for; unpacking would also make the size limit a guess.
                raise ValueError(f"{request.url} answered in a content encoding")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                check_size(body, most)
            return response.status_code, bytes(body)
        finally:
            await response.aclose()


def check_size(body: bytes | bytearray, most: int) -> None:
    """Raise ValueError when a document is larger than that."""
    if len(body) > most:
        raise ValueError(f"the document is larger than {most} bytes")


def checked_url(address: str) -> httpx.URL:
    """Return the address parsed; raises ValueError unless it is https, or http to a loopback host."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ValueError(f"{address} is not an address") from error
    if not url.host or url.userinfo:
        raise ValueError(f"{address} must have a host and no user name")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise ValueError(f"{address} must begin with https://")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
