"""The internal port takes what one of ours signed, now and once."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import Fault
from proxy.headers import Headers
from proxy.tunnel.hop import NONCE, SIGNATURE, TIME, WINDOW_SECONDS, Seen, signed
from proxy.tunnel.sender import AgentUpstream, address_of
from proxy.upstream import UpstreamRequest

PATH, BODY, NOW = "/agents/far-away", b"what is asked", 1_000_000.0


def _headers(fields: tuple[tuple[str, str], ...], **changed: str) -> Headers:
    both = {**dict(fields), **changed}
    return Headers([(name.encode(), value.encode()) for name, value in both.items()])


def test_a_signed_request_is_taken_once() -> None:
    seen, shown = Seen(lambda: NOW), _headers(signed(PATH, BODY, now=NOW))

    assert seen.takes(shown, PATH, BODY)
    assert not seen.takes(shown, PATH, BODY)
    assert seen.takes(_headers(signed(PATH, BODY, now=NOW)), PATH, BODY)


@pytest.mark.parametrize("apart", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1])
def test_one_that_is_too_old_or_of_the_future_is_refused(apart: float) -> None:
    assert not Seen(lambda: NOW + apart).takes(_headers(signed(PATH, BODY, now=NOW)), PATH, BODY)


@pytest.mark.parametrize(
    "changed",
    [{TIME: "1000001.000"}, {NONCE: "0" * 32}, {SIGNATURE: "0" * 64}, {SIGNATURE: ""}],
    ids=["time", "nonce", "signature", "no-signature"],
)
def test_one_that_was_changed_is_refused(changed: dict[str, str]) -> None:
    assert not Seen(lambda: NOW).takes(_headers(signed(PATH, BODY, now=NOW), **changed), PATH, BODY)


def test_one_for_another_agent_or_with_another_body_is_refused() -> None:
    shown = _headers(signed(PATH, BODY, now=NOW))

    assert not Seen(lambda: NOW).takes(shown, "/agents/other", BODY)
    assert not Seen(lambda: NOW).takes(shown, PATH, BODY + b"!")


def test_what_is_too_old_to_be_taken_is_forgotten() -> None:
    now = NOW
    seen = Seen(lambda: now)
    for _ in range(5):
        assert seen.takes(_headers(signed(PATH, BODY, now=now)), PATH, BODY)
        now += 3 * WINDOW_SECONDS

    assert len(seen._nonces) <= 1 + 1


@pytest.mark.parametrize(("status", "executed"), [(403, "false"), (400, "false"), (500, "unknown"), (503, "unknown")])
def test_a_process_that_fails_while_it_is_asked_may_have_sent_the_request(status: int, executed: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def ask() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        agents: Any = SimpleNamespace(sockets={}, address="")
        upstream = AgentUpstream(agents)
        port = server.sockets[0].getsockname()[1]
        upstream._routes["far"] = f"http://127.0.0.1:{port}", math.inf
        try:
            with pytest.raises(Fault) as caught:
                await upstream.exchange(UpstreamRequest(url=address_of("far", "orders"), body=b"{}", timeout=10))
            return caught.value.executed
        finally:
            await upstream.aclose()
            server.close()

    assert asyncio.run(ask()) == executed
