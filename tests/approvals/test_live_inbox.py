"""Hints to open pages: one that does not read, or is gone, keeps nothing from the others; none is told what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import AnonymousUser

from approvals import consumers
from approvals.consumers import UNAUTHENTICATED, InboxConsumer
from approvals.runtime import Runtime, runtime
from tests.held import caller, held, house, signed_in
from tests.people import ALICE, CAROL, Human

__all__ = ["house"]
Send = Callable[[Any], Awaitable[None]]
SOON = 5.0


def page(send: Send) -> InboxConsumer:
    made = InboxConsumer()
    made.base_send = send
    return made


def test_a_page_that_does_not_read_holds_up_nobody() -> None:
    async def main() -> int:
        calls = 0

        async def stuck(message: dict[str, Any]) -> None:
            nonlocal calls
            calls += 1
            await asyncio.Event().wait()

        blocked = page(stuck)
        for number in range(3000):
            blocked.hint([f"id-{number}"])  # returns at once
            await asyncio.sleep(0)
        await blocked.disconnect(1006)
        return calls

    assert asyncio.run(main()) == 1


def test_a_flood_of_hints_is_told_twice_a_second_and_the_last_one_is_not_lost() -> None:
    async def main() -> list[Any]:
        told: list[Any] = []

        async def reads(message: dict[str, Any]) -> None:
            told.append(json.loads(message["text"]))

        one = page(reads)
        for number in range(3000):
            one.hint([f"id-{number}"])
            await asyncio.sleep(0)
        await asyncio.sleep(3 * consumers.PAUSE_SECONDS)
        return told

    told = asyncio.run(main())
    assert told in ([{"changed": True}] * 2, [{"changed": True}] * 3)


def test_a_page_that_is_gone_is_no_error() -> None:
    async def main() -> tuple[int, list[Any]]:
        told: list[str] = []
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

        async def reads(message: dict[str, Any]) -> None:
            told.append(message["text"])

        async def gone(message: dict[str, Any]) -> None:
            raise ConnectionResetError

        for one in (page(gone), page(reads)):
            one.hint(["a", "b"])
            for _ in range(10):
                await asyncio.sleep(0)
        return len(told), errors

    assert asyncio.run(main()) == (1, [])


async def opened(person: Any, about: str = "") -> tuple[Any, dict[str, Any]]:
    """Open a page's socket; return it with the first thing that the server says."""
    scope = {
        "type": "websocket",
        "path": "/ws/inbox/",
        "query_string": f"about={about}".encode() if about else b"",
        "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost")],
        "user": person,
    }
    communicator: Any = ApplicationCommunicator
    socket = communicator(InboxConsumer.as_asgi(), scope)
    await socket.send_input({"type": "websocket.connect"})
    return socket, await socket.receive_output(SOON)


def hears(human: Human, about: str, moved: str) -> bool:
    """Say whether an open page of this person hears that a request moved."""
    person = signed_in(human)

    async def main() -> bool:
        runtime().waiting.start()
        socket, said = await opened(person, about)
        assert said["type"] == "websocket.accept"
        runtime().waiting.hint([moved])
        nothing = await socket.receive_nothing(0.5)
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait(SOON)
        await runtime().waiting.stop()
        return not nothing

    return asyncio.run(main())


def test_a_page_about_one_request_hears_of_that_one_alone(house: Runtime) -> None:
    shown, other = held().pk, held().pk

    assert hears(ALICE, shown, shown)
    assert not hears(ALICE, shown, other)
    assert hears(ALICE, "", other)


def test_nobody_hears_of_a_request_that_they_may_not_see(house: Runtime) -> None:
    request = held(caller(ALICE))

    assert not hears(CAROL, request.pk, request.pk)


def test_who_is_not_signed_in_hears_nothing(house: Runtime) -> None:
    _, said = asyncio.run(opened(AnonymousUser()))

    assert (said["type"], said["code"]) == ("websocket.close", UNAUTHENTICATED)
