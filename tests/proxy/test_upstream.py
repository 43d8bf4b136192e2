"""What goes to an upstream, what comes back, and every way in which that fails, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from approvals.secrets import Secret
from proxy.errors import Fault
from proxy.upstream import Answer, Credential, Upstream, UpstreamRequest
from tests.upstream import FakeUpstream, running

T = TypeVar("T")


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with running() as upstream:
        yield upstream


@pytest.fixture
def streaming() -> Iterator[FakeUpstream]:
    with running(stream=True) as upstream:
        yield upstream


def call(tool: str = "echo", *, number: int = 0, meta: dict[str, Any] | None = None, **arguments: str) -> bytes:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if meta:
        params["_meta"] = meta
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()


def request(fake: FakeUpstream, body: bytes | None = None, **changes: Any) -> UpstreamRequest:
    return replace(UpstreamRequest(url=fake.url, body=call() if body is None else body, id=0), **changes)


def within(work: Callable[[Upstream], Awaitable[T]]) -> T:
    async def main() -> T:
        async with Upstream() as upstream:
            return await asyncio.wait_for(work(upstream), 20)

    return asyncio.run(main())


def exchange(*requests: UpstreamRequest) -> list[tuple[int, list[bytes]]]:
    async def work(upstream: Upstream) -> list[tuple[int, list[bytes]]]:
        found = []
        for one in requests:
            async with await upstream.exchange(one) as answer:
                found.append((answer.status, [message async for message in answer.messages()]))
        return found

    return within(work)


def fault_of(one: UpstreamRequest) -> Fault:
    with pytest.raises(Fault) as caught:
        exchange(one)
    return caught.value


def test_the_callers_bytes_go_out_and_the_upstreams_come_back_unchanged(fake: FakeUpstream) -> None:
    body = b' {"id":0,  "jsonrpc":"2.0","method":"tools/call","params":{"name":"echo","arguments":{"n":1.0}}}'
    [(status, [message])] = exchange(request(fake, body))
    assert fake.requests[0].body == body
    assert status == 200
    assert json.loads(message)["id"] == 0
    assert fake.executions == {"echo": 1}


def test_a_stream_gives_its_messages_in_order_and_the_answer_last(streaming: FakeUpstream) -> None:
    [(_, messages)] = exchange(request(streaming, call(meta={"progressToken": "p"})))
    methods = [json.loads(message).get("method", "answer") for message in messages]
    assert methods == ["notifications/progress", "notifications/progress", "answer"]


def test_connections_are_kept_and_used_again(fake: FakeUpstream, streaming: FakeUpstream) -> None:
    for upstream in (fake, streaming):
        exchange(*[request(upstream)] * 5)
        assert len(upstream.peers) == 1


def test_only_fields_on_the_list_travel_upstream(fake: FakeUpstream) -> None:
    callers = [
        (b"authorization", b"Bearer callers-token"),
        (b"cookie", b"sid=1"),
        (b"mcp-session-id", b"ours"),
        (b"Mcp-Protocol-Version", b"2025-11-25"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-param-region", b"eu"),
        (b"traceparent", b"00-1-2-01"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip"),
        (b"holdgate-reason", b"private"),
        (b"idempotency-key", b"k"),
    ]
    credential = Credential(header="Authorization", prefix="Bearer ", secret=Secret("upstream-token"))
    exchange(request(fake, headers=callers, session="theirs", credential=credential))
    assert {name.decode(): value.decode() for name, value in fake.requests[0].headers} == {
        "host": f"127.0.0.1:{fake.port}",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "holdgate",
        "content-type": "application/json",
        "content-length": str(len(call())),
        "mcp-protocol-version": "2025-11-25",
        "mcp-method": "tools/call",
        "mcp-param-region": "eu",
        "mcp-session-id": "theirs",
        "traceparent": "00-1-2-01",
        "authorization": "Bearer upstream-token",
    }


def test_a_caller_cannot_set_the_field_of_the_credential(fake: FakeUpstream) -> None:
    credential = Credential(header="Mcp-Key", secret=Secret("right"))
    exchange(request(fake, headers=[(b"mcp-key", b"forged")], credential=credential))
    assert fake.requests[0].header("mcp-key") == "right"


def test_cookies_of_an_upstream_are_not_kept(fake: FakeUpstream) -> None:
    fake.fault = "cookie"
    exchange(request(fake), request(fake))
    assert fake.requests[1].header("cookie") is None


def test_a_notification_is_accepted_without_an_answer(fake: FakeUpstream) -> None:
    body = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    assert exchange(request(fake, body, id=None)) == [(202, [])]


def test_a_json_rpc_error_keeps_its_http_status(fake: FakeUpstream) -> None:
    fake.fault = "json_error"
    [(status, [message])] = exchange(request(fake))
    assert (status, json.loads(message)["error"]["code"]) == (500, -32603)


def test_sessions_are_given_used_and_lost() -> None:
    with running(sessions=True) as fake:
        initialize = b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}'

        async def work(upstream: Upstream) -> str | None:
            async with await upstream.exchange(request(fake, initialize)) as answer:
                return answer.session

        assert within(work) == "session-1"
        assert exchange(request(fake, session="session-1"))[0][0] == 200
        lost = fault_of(request(fake, session="another"))
        assert (type(lost).__name__, lost.reason, lost.executed, lost.status) == (
            "SessionLost",
            "upstream_invalid",
            "false",
            404,
        )


def test_the_stream_of_a_session_is_read_until_it_is_left(fake: FakeUpstream) -> None:
    async def work(upstream: Upstream) -> bytes:
        listening = UpstreamRequest(url=fake.url, verb="GET", session="s", timeout=None)
        async with await upstream.exchange(listening) as answer:
            return await anext(answer.messages())

    assert b"list_changed" in within(work)
    fake.wait_for(lambda it: it.disconnects == 1)


FAULTS = {
    "hang": ("upstream_timeout", "unknown"),
    "drip": ("upstream_timeout", "unknown"),
    "reset_before": ("outcome_unknown", "unknown"),
    "reset_after": ("outcome_unknown", "unknown"),
    "reset_within": ("outcome_unknown", "unknown"),
    "wrong_length": ("outcome_unknown", "unknown"),
    "stream_ends": ("outcome_unknown", "unknown"),
    "redirect": ("upstream_invalid", "false"),
    "unauthorized": ("credential_unavailable", "false"),
    "forbidden": ("credential_unavailable", "false"),
    "html_error": ("upstream_invalid", "unknown"),
    "garbage_http": ("upstream_invalid", "unknown"),
    "garbage_json": ("upstream_invalid", "unknown"),
    "not_json_rpc": ("upstream_invalid", "unknown"),
    "plain_text": ("upstream_invalid", "unknown"),
    "wrong_id": ("upstream_invalid", "unknown"),
    "accepted": ("upstream_invalid", "unknown"),
    "session_lost": ("upstream_invalid", "unknown"),
    "gzip": ("upstream_invalid", "unknown"),
    "huge": ("upstream_invalid", "true"),
    "huge_stream": ("upstream_invalid", "true"),
}


@pytest.mark.parametrize(("fault", "reason", "executed"), [(name, *row) for name, row in FAULTS.items()])
def test_every_fault_says_why_and_whether_the_call_was_executed(
    fake: FakeUpstream, fault: str, reason: str, executed: str
) -> None:
    fake.fault = fault
    error = fault_of(request(fake, timeout=0.5, max_answer=1 << 20))
    assert (error.reason, error.executed) == (reason, executed)
    assert len(fake.requests) == 1
    assert not any(word in error.message for word in ("pw", "127.0.0.1", "hint", str(fake.port)))


def test_a_refused_connection_has_executed_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = fault_of(UpstreamRequest(url=f"http://127.0.0.1:{port}/mcp", body=call(), id=0))
    assert (error.reason, error.executed) == ("upstream_unavailable", "false")


def test_an_unknown_host_has_executed_nothing() -> None:
    error = fault_of(UpstreamRequest(url="http://no-such-host.invalid/mcp", body=call(), id=0))
    assert (error.reason, error.executed) == ("upstream_unavailable", "false")


def test_an_untrusted_server_has_executed_nothing(fake: FakeUpstream) -> None:
    error = fault_of(request(fake, url=fake.url.replace("http:", "https:")))
    assert (error.reason, error.executed) == ("upstream_unavailable", "false")
    assert fake.requests == []


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
@pytest.mark.parametrize("verb", ["POST", "DELETE"])
def test_nothing_is_sent_twice_when_a_kept_alive_connection_is_dropped(
    fake: FakeUpstream, fault: str, verb: Any
) -> None:
    async def work(upstream: Upstream) -> Fault:
        async with await upstream.exchange(request(fake)) as answer:
            assert [message async for message in answer.messages()]
        fake.fault, fake.faulty_verbs = fault, {verb}
        with pytest.raises(Fault) as caught:
            await upstream.exchange(request(fake, verb=verb))
        return caught.value

    error = within(work)
    assert (error.reason, error.executed) == ("outcome_unknown", "unknown")
    assert len(fake.peers) == 1
    assert len(fake.requests) == 2


def test_leaving_an_answer_early_cancels_it_upstream(streaming: FakeUpstream) -> None:
    streaming.notes_first = True

    async def work(upstream: Upstream) -> None:
        slow = call("slow", meta={"progressToken": 1})
        async with await upstream.exchange(request(streaming, slow)) as answer:
            await anext(answer.messages())

    within(work)
    streaming.wait_for(lambda it: it.disconnects == 1)


def test_cancelling_the_wait_for_an_answer_cancels_it_upstream(fake: FakeUpstream) -> None:
    async def work(upstream: Upstream) -> None:
        task = asyncio.ensure_future(upstream.exchange(request(fake, call("slow"))))
        await asyncio.to_thread(fake.wait_for, lambda it: it.executions["slow"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    within(work)
    fake.wait_for(lambda it: it.disconnects == 1)


@pytest.mark.parametrize("fault", ["huge", "huge_stream"])
def test_an_answer_to_what_asked_for_none_is_not_read_without_limit(fake: FakeUpstream, fault: str) -> None:
    fake.fault = fault

    error = fault_of(request(fake, id=None, timeout=5.0, max_answer=1 << 20))

    assert error.reason == "upstream_invalid"


def test_a_large_stream_is_read_only_as_fast_as_it_is_taken(fake: FakeUpstream) -> None:
    fake.flood = 64 << 20

    async def work(upstream: Upstream) -> int:
        listening = UpstreamRequest(url=fake.url, verb="GET", timeout=None)
        async with await upstream.exchange(listening) as answer:
            await anext(answer.groups())
            await asyncio.to_thread(fake.wait_until_blocked)
            return fake.flooded

    assert within(work) < 32 << 20


def test_a_stream_that_ends_early_is_resumed_by_its_event_id_and_the_call_is_not_repeated(
    streaming: FakeUpstream,
) -> None:
    streaming.fault = "stream_polls"
    [(_, messages)] = exchange(request(streaming, headers=[(b"mcp-protocol-version", b"2025-11-25")]))
    assert json.loads(messages[-1])["id"] == 0
    assert [seen.verb for seen in streaming.requests] == ["POST", "GET"]
    assert streaming.requests[1].header("last-event-id") == "event-1"
    assert streaming.executions == {"echo": 1}


def test_many_calls_at_once_each_get_their_own_answer(fake: FakeUpstream) -> None:
    async def one(upstream: Upstream, number: int) -> bool:
        asked = request(fake, call(number=number, text=str(number)), id=number)
        async with await upstream.exchange(asked) as answer:
            [message] = [message async for message in answer.messages()]
        found = json.loads(message)
        return bool(found["id"] == number and found["result"]["content"][0]["text"] == str(number))

    async def work(upstream: Upstream) -> list[bool]:
        return await asyncio.gather(*(one(upstream, number) for number in range(100)))

    assert all(within(work))
    assert fake.executions == {"echo": 100}


def test_an_answer_says_what_it_is(fake: FakeUpstream) -> None:
    async def work(upstream: Upstream) -> Answer:
        async with await upstream.exchange(request(fake)) as answer:
            return answer

    answer = within(work)
    assert (answer.status, answer.session, answer.version, answer.streamed) == (200, None, None, False)
