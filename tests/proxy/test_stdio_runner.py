"""Stdio servers behind the runner: whose is whose, and every way in which a server misbehaves."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from tests.running_stdio import MODERN, Client, children, connection, is_alive, refused, runner, until, within


def test_a_session_has_a_server_of_its_own_and_takes_it_along() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            one, two = await client.begin("tools"), await client.begin("tools")
            for expected in "12":
                assert (await client.call("tools", "count", session=one)).said == expected
            assert (await client.call("tools", "count", session=two)).said == "1"
            assert len(client.pool) == 2
            pid = (await client.call("tools", "where", session=one)).data["pid"]
            assert await client.leave("tools", one) == 204
            await until(lambda: not is_alive(pid))
            assert (await refused(client.call("tools", "count", session=one)))[:2] == ("upstream_invalid", "false")
            assert (await client.call("tools", "count", session=two)).said == "2"
        assert not children()

    within(work)


def test_a_session_is_its_callers_alone() -> None:
    async def work() -> None:
        async with runner(tools=connection(), others=connection()) as client:
            session = await client.begin("tools")
            for name, owner in (("tools", "eve"), ("others", "dave")):
                asking = client.call(name, "echo", session=session, owner=owner)
                assert (await refused(asking))[:2] == ("upstream_invalid", "false")
            assert (await client.call("tools", "echo", arguments={"text": "mine"}, session=session)).said == "mine"

    within(work)


@pytest.mark.parametrize("era", ["", MODERN])
def test_requests_without_a_session_have_one_server_for_each_caller_and_run(era: str) -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            whose = [("dave", ""), ("eve", ""), ("job", "1"), ("job", "2")]
            for owner, run in whose * 2:
                await client.call("tools", "count", era=era, owner=owner, run=run)
            for owner, run in whose:
                assert (await client.call("tools", "count", era=era, owner=owner, run=run)).said == "3"
            assert len(client.pool) == 4

    within(work)


def test_a_shared_server_is_initialized_once_and_serves_all() -> None:
    async def work() -> None:
        async with runner(tools=connection(shared=True)) as client:
            sessions = [await client.begin("tools", owner=owner, id=owner) for owner in ("dave", "eve")]
            said = [
                (await client.call("tools", "count", session=session, owner=owner)).said
                for session, owner in zip(sessions, ("dave", "eve"), strict=True)
            ]
            assert said == ["1", "2"]
            assert (await client.call("tools", "count", owner="job")).said == "3"
            assert len(client.pool) == 1
            assert await client.leave("tools", sessions[0]) == 204
            assert (await client.call("tools", "count", session=sessions[1], owner="eve")).said == "4"

    within(work)


def test_ids_and_tokens_of_callers_who_share_a_server_do_not_meet() -> None:
    async def work() -> None:
        async with runner(tools=connection(shared=True)) as client:

            async def one(request_id: Any, text: str) -> None:
                meta = {"progressToken": "same"}
                asked = await client.call("tools", "progress", id=request_id, meta=meta, owner=text)
                assert asked.messages[-1]["id"] == request_id
                assert type(asked.messages[-1]["id"]) is type(request_id)
                assert [note["params"]["progressToken"] for note in asked.messages[:-1]] == ["same"] * 3
                echoed = await client.call("tools", "echo", id=request_id, owner=text, arguments={"text": text})
                assert (echoed.messages[-1]["id"], echoed.said) == (request_id, text)

            await asyncio.gather(*(one(request_id, f"c{n}") for n, request_id in enumerate([1, 1, "1", 0, "x", 1] * 5)))

    within(work)


def test_bytes_are_kept_but_for_the_id() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            text = "\u2028 line \r\n separators, \U0001f600 and 1.0e3 \x7f"
            assert (await client.call("tools", "echo", arguments={"text": text})).said == text
            assert len((await client.call("tools", "big", arguments={"size": 3_000_000})).said) == 3_000_000

    within(work)


def test_notifications_and_progress_come_as_a_stream_with_the_answer_last() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            session = await client.begin("tools")
            asked = await client.call("tools", "log", session=session)
            assert asked.streamed
            assert [message.get("method") for message in asked.messages] == ["notifications/message", None]
            plain = await client.call("tools", "echo", session=session, arguments={"text": "x"})
            assert not plain.streamed

    within(work)


def test_a_servers_own_request_goes_to_the_caller_in_a_session_and_is_refused_elsewhere() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            session = await client.begin("tools")
            asking = asyncio.create_task(client.call("tools", "ask", session=session))
            await asyncio.sleep(0.2)
            answer = {"jsonrpc": "2.0", "id": "s1", "result": {"text": "sampled"}}
            assert (await client.send("tools", answer, session=session)).status == 202
            asked = await asking
            assert [message.get("method") for message in asked.messages] == ["sampling/createMessage", None]
            assert asked.data == {"text": "sampled"}
            assert (await client.call("tools", "ask")).data["code"] == -32601

    within(work)


@pytest.mark.parametrize("has_session", [True, False])
def test_leaving_cancels_and_the_server_goes_on(has_session: bool) -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            session = await client.begin("tools") if has_session else None
            assert (await refused(client.call("tools", "slow", session=session, timeout=0.5)))[:2] == (
                "upstream_timeout",
                "unknown",
            )
            assert await until_cancelled(client, session)

    within(work)


async def until_cancelled(client: Client, session: str | None) -> bool:
    for _ in range(100):
        if (await client.call("tools", "cancelled", session=session)).data is True:
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_callers_own_cancellation_names_the_number_that_the_server_knows() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            session = await client.begin("tools")
            slow = asyncio.create_task(client.call("tools", "slow", id="mine", session=session))
            await asyncio.sleep(0.2)
            notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "mine"}}
            assert (await client.send("tools", notice, session=session)).status == 202
            assert await until_cancelled(client, session)
            slow.cancel()

    within(work)


MISBEHAVING = [
    ("die", ("outcome_unknown", "unknown"), "with exit status 3"),
    ("half", ("outcome_unknown", "unknown"), "with exit status 0"),
    ("garbage", ("upstream_invalid", "unknown"), "not a JSON-RPC message"),
    ("latin", ("upstream_invalid", "unknown"), "not a JSON-RPC message"),
    ("endless", ("upstream_invalid", "unknown"), "more than 1048576 bytes"),
    ("eat", ("outcome_unknown", "unknown"), "memory"),
    ("fork", ("outcome_unknown", "unknown"), "processes"),
]


@pytest.mark.parametrize(("tool", "outcome", "says"), MISBEHAVING, ids=[one[0] for one in MISBEHAVING])
def test_a_server_that_breaks_in_the_middle_of_a_call_is_told_and_replaced(
    tool: str, outcome: tuple[str, str], says: str
) -> None:
    async def work() -> None:
        limits = {"memory": "200MiB", "processes": 5}
        async with runner(tools=connection(limits=limits, max_answer="1MiB")) as client:
            arguments = {"size": 400 << 20, "count": 12}
            session = await client.begin("tools")
            if tool in {"eat", "fork"}:
                # Its memory, or its processes, are seen a moment later; a limit of the kernel may come first.
                found = await dies_of(client, tool, arguments, session)
            else:
                found = await refused(client.call("tools", tool, session=session, arguments=arguments))
                assert says in found[2], found
            assert found[:2] == outcome
            await until(lambda: not children())
            assert (await client.call("tools", "echo", arguments={"text": "again"})).said == "again"

    within(work)


async def dies_of(client: Client, tool: str, arguments: dict[str, Any], session: str) -> tuple[str, str, str]:
    """Break a limit of the whole tree, then wait for the end in a call that never answers."""
    breaking = asyncio.create_task(client.call("tools", tool, session=session, arguments=arguments))
    found = await refused(client.call("tools", "slow", session=session))
    breaking.cancel()
    return found


def test_a_flood_that_nobody_asked_for_ends_the_server() -> None:
    async def work() -> None:
        async with runner(tools=connection(shared=True)) as client:
            began = time.monotonic()
            reason, executed, message = await refused(client.call("tools", "flood"))
            assert (reason, executed) == ("upstream_invalid", "unknown")
            assert "without end" in message
            assert time.monotonic() - began < 10
            await until(lambda: not children())

    within(work)


def test_lines_that_are_no_messages_are_passed_over() -> None:
    async def work() -> None:
        async with runner(tools=connection()) as client:
            assert (await client.call("tools", "banner")).said == "after the banner"

    within(work)


@pytest.mark.parametrize(
    ("modes", "more", "says"),
    [
        (["exits"], {}, "exit status 7"),
        (["garbage"], {}, "not a JSON-RPC message"),
        ([], {"cwd": "/nowhere/at/all"}, "No such file or directory"),
    ],
    ids=["exits", "writes garbage", "no folder"],
)
def test_a_server_that_cannot_start_is_unavailable_and_not_tried_at_once(
    modes: list[str], more: dict[str, Any], says: str
) -> None:
    async def work() -> None:
        async with runner(tools=connection(*modes, **more)) as client:
            for _ in range(2):
                _, executed, message = await refused(client.begin("tools"))
                assert says in message
                assert executed in {"false", "unknown"}
            began = time.monotonic()
            reason, executed, message = await refused(client.begin("tools"))
            assert (reason, executed) == ("upstream_unavailable", "false")
            assert "failed to start 2 times" in message
            assert time.monotonic() - began < 0.5
            await until(lambda: not children())

    within(work)


def test_a_command_that_is_not_there_or_not_allowed_is_said() -> None:
    async def work() -> None:
        missing = connection(command=[sys.executable + "-gone", "x"])
        async with runner(tools=connection(command=["/bin/true"]), gone=missing) as client:
            assert "HOLDGATE_STDIO_COMMANDS" in (await refused(client.begin("tools")))[2]
            client.serving.runner._launches._commands = (tuple(missing["command"]),)  # type: ignore[union-attr]
            found = await refused(client.begin("gone"))
            assert found[:2] == ("upstream_unavailable", "false")
            assert "No such file or directory" in found[2]

    within(work)


def test_a_server_that_never_answers_is_given_up_and_ended() -> None:
    async def work() -> None:
        async with runner(tools=connection("deaf")) as client:
            found = await refused(client.ask("tools", "initialize", timeout=0.5))
            assert found[:2] == ("upstream_timeout", "unknown")
            await until(lambda: not children())

    within(work)


def test_what_a_server_leaves_behind_goes_with_it() -> None:
    async def work() -> None:
        async with runner(tools=connection("stubborn")) as client:
            session = await client.begin("tools")
            left = (await client.call("tools", "orphans", session=session)).data
            pid = (await client.call("tools", "where", session=session)).data["pid"]
            assert all(map(is_alive, [*left, pid]))
            await client.leave("tools", session)
            await until(lambda: not any(map(is_alive, [*left, pid])))
            again = await client.begin("tools")
            left = (await client.call("tools", "orphans", session=again)).data
            assert (await refused(client.call("tools", "die", session=again)))[0] == "outcome_unknown"
            await until(lambda: not any(map(is_alive, left)))

    within(work)
