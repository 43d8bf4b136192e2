"""HTTP on the caller's side: the only module of the client that knows httpx."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from proxy.client.requests import Request
from proxy.client.tokens import TokenUnavailable
from proxy.sse import Decoder, EventTooLarge

CONNECT_SECONDS = 10.0
# Longer than any sensible timeout of an upstream: a silent answer must not be given up while it is still
# awaited.
# While people decide, a sign of life comes every ten seconds.
SILENCE_SECONDS = 330.0
LARGEST_EVENT = 64 << 20


class ConnectionLost(Exception):
    """No whole answer came. `sent` says whether the request may have reached the other side."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer, and its messages as they come: of an event stream many, else the body if it is
    JSON.
    """

    status: int
    headers: Mapping[str, str]
    messages: Iterator[Any]


class Wire:
    """POSTs and GETs to one gateway. Never follows a redirect, for it would carry the token elsewhere."""

    def __init__(self) -> None:
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def post(self, url: str, request: Request, headers: Mapping[str, str]) -> Iterator[Response]:
        """Send one message and give its answer while the block lasts. Raises ConnectionLost, in the block
        too.
        """
        fields = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **request.headers,
            **headers,
        }
        # UTF-8, for a reason may be written in any language.
        encoded = [(name.encode("ascii"), value.encode()) for name, value in fields.items()]
        body = json.dumps(request.message, ensure_ascii=False, separators=(",", ":")).encode()
        with _translated(), self._client.stream("POST", url, content=body, headers=encoded) as response:
            yield Response(response.status_code, response.headers, _messages(response))

    def delete(self, url: str, headers: Mapping[str, str]) -> None:
        """Send a DELETE whose answer does not matter. Raises ConnectionLost."""
        with _translated():
            self._client.delete(url, headers=headers, timeout=CONNECT_SECONDS)

    def get_json(self, url: str, headers: Mapping[str, str]) -> Any:
        """Return the JSON of a GET, None for anything but 200 with JSON. Raises ConnectionLost."""
        with _translated():
            response = self._client.get(url, headers=headers, timeout=CONNECT_SECONDS)
        return _json(response.content) if response.status_code == 200 else None

    def fetch_token(self, url: str, headers: Mapping[str, str]) -> bytes:
        """Return what a token service answers. Raises TokenUnavailable, whose message holds no part of the
        answer.
        """
        try:
            with _translated():
                response = self._client.get(url, headers=headers, timeout=CONNECT_SECONDS)
        except ConnectionLost as error:
            msg = f"The token service cannot be reached: {error.why}."
            raise TokenUnavailable(msg) from None
        if response.status_code != 200:
            msg = f"The token service answered with status {response.status_code}."
            raise TokenUnavailable(msg)
        return response.content


@contextmanager
def _translated() -> Iterator[None]:
    """Turn httpx's exceptions into one of ours, whose text names no address with a query and no header."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise ConnectionLost(f"cannot connect ({type(error).__name__})", sent=False) from None
    except httpx.HTTPError as error:
        raise ConnectionLost(f"the connection broke ({type(error).__name__})", sent=True) from None
    except EventTooLarge:
        raise ConnectionLost("an event of the answer is too large", sent=True) from None


def _messages(response: httpx.Response) -> Iterator[Any]:
    if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        value = _json(response.read())
        if value is not None:
            yield value
        return
    decoder = Decoder(limit=LARGEST_EVENT)
    for chunk in response.iter_bytes():
        for event in decoder.feed(chunk):
            if event.data and (value := _json(event.data)) is not None:
                yield value


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
