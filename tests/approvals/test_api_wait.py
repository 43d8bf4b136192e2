"""`?wait=` answers as soon as the status differs, at the timeout otherwise, and checks anew who may see."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import _GeneratorContextManager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from approvals import services
from approvals.api.requests import MAX_WAIT, seconds
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.standing import caller_of
from approvals.states import Status
from approvals.waiting import Waiting
from tests.held import held, house, signed_in
from tests.people import ALICE, EVE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("known_host")
GUARD = 20.0


@pytest.fixture
def known_host(settings: Any) -> None:
    """The asynchronous client calls `testserver`, whatever one tells it."""
    settings.PUBLIC_URL = "http://testserver"


def run(scenario: Callable[[AsyncClient, ApprovalRequest], Awaitable[Any]], house: Runtime, who: Any = ALICE) -> Any:
    """Run a scenario on a loop in which the waiters are woken, for somebody who is signed in."""
    request, person = held(), signed_in(who)
    client = AsyncClient()
    client.force_login(person)

    async def play() -> Any:
        house.waiting.start()
        try:
            return await asyncio.wait_for(scenario(client, request), GUARD)
        finally:
            await house.waiting.stop()

    return asyncio.run(play())


def approve(house: Runtime, request: ApprovalRequest) -> None:
    approver = caller_of(signed_in(ALICE), house.policies.current.policy)
    services.decide(house, approval_id=request.pk, approver=approver, decision="approve", via="api")


class Announcing(Waiting):
    """Waiters that say when somebody joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()

    def watch(self, approval_id: str, version: int = 0) -> _GeneratorContextManager[asyncio.Event]:
        self.arrived.set()
        return super().watch(approval_id, version)


def test_a_decision_ends_the_wait_at_once(house: Runtime) -> None:
    house.waiting = waiters = Announcing()

    async def scenario(client: AsyncClient, request: ApprovalRequest) -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        waiting = asyncio.create_task(client.get(f"/api/v1/approvals/{request.pk}/?wait=60"))
        await waiters.arrived.wait()
        await sync_to_async(approve, thread_sensitive=False)(house, request)
        return json.loads((await waiting).content), time.monotonic() - began

    body, took = run(scenario, house)

    assert body["status"] == "approved"
    assert took < GUARD / 2


def test_without_a_decision_the_answer_comes_at_the_timeout(house: Runtime) -> None:
    async def scenario(client: AsyncClient, request: ApprovalRequest) -> Any:
        return await client.get(f"/api/v1/approvals/{request.pk}/?wait=1")

    answer = run(scenario, house)

    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


@pytest.mark.parametrize(("who", "query", "status"), [(EVE, "wait=60", 404), (ALICE, "wait=soon", 400)])
def test_who_may_not_see_it_or_asks_nonsense_does_not_wait(who: Any, query: str, status: int, house: Runtime) -> None:
    async def scenario(client: AsyncClient, request: ApprovalRequest) -> Any:
        return await client.get(f"/api/v1/approvals/{request.pk}/?{query}")

    assert run(scenario, house, who).status_code == status


def test_an_ended_request_is_not_waited_for(house: Runtime) -> None:
    async def scenario(client: AsyncClient, request: ApprovalRequest) -> Any:
        deny = sync_to_async(services.move, thread_sensitive=False)
        await deny(request.pk, Status.PENDING, Status.DENIED)
        return await client.get(f"/api/v1/approvals/{request.pk}/?wait=60")

    assert run(scenario, house).json()["status"] == "denied"


def test_nobody_waits_longer_than_a_minute() -> None:
    assert (seconds("3600"), seconds(None)) == (MAX_WAIT, 0)


def test_nobody_in_particular_waits_for_nothing(house: Runtime) -> None:
    async def scenario(client: AsyncClient, request: ApprovalRequest) -> Any:
        return await AsyncClient().get(f"/api/v1/approvals/{request.pk}/?wait=60")

    assert run(scenario, house).status_code == 401
