"""When a server counts as away, and when it is back: one entry each, however many calls meet it."""

from __future__ import annotations

from approvals.config.credential import Credential
from approvals.runtime import Runtime
from approvals.secrets import Secret
from proxy.outages import Outages
from sessions.events import Event
from tests.exchanges import exchange_of
from tests.held import house
from tests.people import CONNECTION

__all__ = ["house"]


def test_an_outage_is_told_when_it_begins_and_when_it_ends(house: Runtime) -> None:
    outages = Outages()
    ends = [
        ("call.result", "", ""),
        ("call.failed", "upstream_unavailable", "proxy_unreachable"),
        ("call.refused", "upstream_unavailable", ""),
        ("call.unknown", "upstream_timeout", ""),  # it was sent, so somebody was there
        ("call.result", "", ""),
        ("call.result", "", ""),
    ]

    told = [[event.kind for event in outages.noted(exchange_of(house), *end)] for end in ends]

    assert told == [[], ["server.down"], [], [], ["server.up"], []]
    (event,) = outages.noted(exchange_of(house), "call.failed", "upstream_unavailable", "tls_files")
    assert (event.connection, event.call_id, event.facts) == (CONNECTION, "", {"detail": "tls_files"})


def test_another_credential_is_told_once_and_never_shown(house: Runtime) -> None:
    outages, reference = Outages(), "env:ORDERS_TOKEN"

    def used(value: str, **credential: object) -> list[Event]:
        exchange = exchange_of(house)
        known = {"header": "Authorization", "value": reference, **credential}
        exchange.connection = exchange.connection.model_copy(update={"credential": Credential.model_validate(known)})
        exchange.secrets = (Secret(value),)
        return outages.noted(exchange, "call.result", "", "")

    first, none, second = used("one"), used("one"), used("two")

    assert [event.kind for event in (*first, *none, *second)] == ["credential.used", "credential.rotated"]
    (old, new) = first[0].facts, second[0].facts
    assert (new["was"], new["reference"]) == (old["version"], reference)
    assert "two" not in str(new)
