"""When a server counts as away, and when it is back: one entry each, however many calls meet it."""

from __future__ import annotations

from approvals.runtime import Runtime
from proxy.outages import Outages
from tests.exchanges import exchange_of
from tests.held import house
from tests.people import CONNECTION

__all__ = ["house"]


def test_an_outage_is_told_when_it_begins_and_when_it_ends(house: Runtime) -> None:
    outages, exchange = Outages(), exchange_of(house)
    ends = [
        ("call.result", "", ""),
        ("call.failed", "upstream_unavailable", "proxy_unreachable"),
        ("call.refused", "upstream_unavailable", ""),
        ("call.unknown", "upstream_timeout", ""),  # it was sent, so somebody was there
        ("call.result", "", ""),
        ("call.result", "", ""),
    ]

    told = [[event.kind for event in outages.noted(exchange, *end)] for end in ends]

    assert told == [[], ["server.down"], [], [], ["server.up"], []]
    (event,) = outages.noted(exchange, "call.failed", "upstream_unavailable", "tls_files")
    assert (event.connection, event.call_id, event.facts) == (CONNECTION, "", {"detail": "tls_files"})
