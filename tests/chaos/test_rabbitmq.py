"""RabbitMQ as the broker, where one answers on this machine: the timers run as they do on Redis."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests import services
from tests.chaos.house import ended, pair
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.servers import PostgreSQL
from tests.world import marker

ADDRESS = ("127.0.0.1", 5672)


@pytest.mark.chaos
def test_what_is_overdue_expires_by_a_worker_on_rabbitmq(
    issuer: FakeIssuer, server: PostgreSQL, tmp_path: Path
) -> None:
    if not services.answers(ADDRESS):
        services.missing("RabbitMQ", "HOLDGATE_REQUIRE_RABBITMQ")
    with contextlib.ExitStack() as stack:
        house = stack.enter_context(pair(tmp_path, issuer, server, BROKER_URL="amqp://guest:guest@127.0.0.1:5672//"))
        for form in ("worker", "beat"):
            process = house.here.gateway.sibling(form)
            stack.callback(process.kill)
            process.start()
        arguments = {"sql": "hasty from x", "marker": marker()}

        approval = house.here.caller(DAVE).call("query", arguments, prefer="wait=0").approval["id"]

        ended(house, str(approval), "expired")
        house.assert_history()
