"""Servers of 2024-11-05, as the runner speaks to them: one stream, and POST to the address that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from proxy.errors import UpstreamInvalid
from proxy.stdio.remote import endpoint
from tests.running_stdio import Client, refused, runner, within
from tests.sse_server import GUARD, Told, serving

pytestmark = pytest.mark.promise("unchanged-clients")

CREDENTIAL = {"header": "Authorization", "prefix": "Bearer ", "value": "env:OLD_TOKEN"}
SECRET = "old-credential-Vb6nQ2"


@pytest.fixture
def told() -> Iterator[tuple[Told, str]]:
    """A server that does what it is told to, and its address."""
    server = Told()
    with serving(server) as url:
        yield server, url
        server.release()


def _play(url: str, story: Callable[[Client], Awaitable[None]], **more: Any) -> None:
    old = {"url": f"{url}/sse", "protocol": "2024-11-05", "default": "allow", "credential": CREDENTIAL, **more}

    async def whole() -> None:
        async with runner({"OLD_TOKEN": SECRET}, old=old) as client:
            await story(client)

    within(whole, 60)


def test_a_session_is_a_stream_and_its_messages_go_where_that_says(told: tuple[Told, str]) -> None:
    server, url = told

    async def story(client: Client) -> None:
        session = await client.begin("old")
        answers = await asyncio.gather(
            *(client.call("old", "echo", arguments={"n": n}, session=session, id=7) for n in range(5))
        )
        assert [one.data for one in answers] == [{"n": n} for n in range(5)]
        assert all(one.messages[-1]["id"] == 7 for one in answers)
        assert (await client.ask("old", "tools/list")).result["tools"]  # without a session
        assert await client.leave("old", session) == 204

    _play(url, story)
    methods = [message["method"] for message in server.seen]
    assert methods[:2] == ["initialize", "notifications/initialized"]
    assert methods.count("tools/call") == 5
    assert server.opened == 2
    assert {fields.get(b"authorization") for fields in server.fields} == {f"Bearer {SECRET}".encode()}
    assert server.streams == {}


@pytest.mark.promise("nothing-lost")
def test_a_stream_that_is_lost_leaves_the_outcome_unknown_and_nothing_is_sent_again(told: tuple[Told, str]) -> None:
    server, url = told

    async def story(client: Client) -> None:
        session = await client.begin("old")
        late = asyncio.create_task(refused(client.call("old", "late", session=session)))
        await asyncio.to_thread(server.has_seen.wait, GUARD)
        reason, executed, _ = await refused(client.call("old", "ends", session=session))
        assert (reason, executed) == ("outcome_unknown", "unknown")
        assert (await late)[:2] == ("outcome_unknown", "unknown")
        gone = await refused(client.call("old", "echo", session=session))
        assert gone[:2] == ("upstream_invalid", "false")
        again = await client.begin("old")
        assert (await client.call("old", "echo", arguments={"a": 1}, session=again)).data == {"a": 1}

    _play(url, story)
    names = [message.get("params", {}).get("name") for message in server.seen]
    assert (names.count("late"), names.count("ends"), names.count("echo")) == (1, 1, 1)


@pytest.mark.promise("secrets-stay")
@pytest.mark.parametrize(
    "named", ["http://127.0.0.1:1/in", "https://{host}/in", "//other.example/in", "http://user@{host}/in", "", "\x00"]
)
def test_messages_go_to_the_origin_of_the_stream_alone(told: tuple[Told, str], named: str) -> None:
    server, url = told
    server.endpoint = named.format(host=url.removeprefix("http://"), session="{session}")

    async def story(client: Client) -> None:
        reason, executed, sentence = await refused(client.begin("old"))
        assert (reason, executed) == ("upstream_unavailable", "false")
        assert "of its own origin" in sentence

    _play(url, story)
    assert server.seen == []


def test_an_address_is_read_as_a_reference_to_that_of_the_stream() -> None:
    base = "https://old.example/a/sse?x=1"

    assert endpoint(base, b"/in?s=1") == "https://old.example/in?s=1"
    assert endpoint(base, b"in?s=1#there") == "https://old.example/a/in?s=1"
    assert endpoint(base, b"https://OLD.example:443/in") == "https://OLD.example:443/in"
    for wrong in (b"http://old.example/in", b"https://old.example:8443/in", b"\xff", b"https://[", b"file:///etc"):
        with pytest.raises(UpstreamInvalid):
            endpoint(base, wrong)


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize(
    ("status", "reason", "executed"),
    [
        (404, "upstream_invalid", "false"),
        (401, "credential_unavailable", "false"),
        (500, "upstream_invalid", "unknown"),
    ],
)
def test_a_message_that_is_not_taken_ends_its_call(
    told: tuple[Told, str], status: int, reason: str, executed: str
) -> None:
    server, url = told

    async def story(client: Client) -> None:
        session = await client.begin("old")
        server.refuses = status
        assert (await refused(client.call("old", "echo", session=session)))[:2] == (reason, executed)
        server.refuses = 0
        assert (await client.call("old", "echo", arguments={}, session=session)).data == {}

    _play(url, story)


def test_a_second_answer_is_nobodys_and_too_large_a_message_ends_the_stream(told: tuple[Told, str]) -> None:
    _, url = told

    async def story(client: Client) -> None:
        session = await client.begin("old")
        first = await client.call("old", "twice", arguments={"a": 1}, session=session)
        second = await client.call("old", "echo", arguments={"b": 2}, session=session)
        assert (first.data, second.data) == ({"a": 1}, {"b": 2})
        assert (await refused(client.call("old", "floods", session=session)))[0] == "upstream_invalid"

    _play(url, story, max_answer="1MiB")


def test_who_does_not_speak_it_is_named() -> None:
    async def story(client: Client) -> None:
        for _ in range(2):
            reason, executed, _sentence = await refused(client.begin("old"))
            assert (reason, executed) == ("upstream_unavailable", "false")

    with serving(_plain) as plain:
        _play(plain, story)
    _play("http://127.0.0.1:1", story)


async def _plain(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 405, "headers": []})
    await send({"type": "http.response.body", "body": b""})
