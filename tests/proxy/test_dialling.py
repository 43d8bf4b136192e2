"""The address that is dialled is the one that was looked at, whatever names say from one moment to the next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from approvals.addresses import Networks
from proxy.dialling import literal
from proxy.errors import UpstreamUnavailable
from proxy.jwks import KeySets, KeysUnavailable
from proxy.routes import Route
from proxy.upstream import Upstream, UpstreamRequest, pooled_transport
from tests.upstream import FakeUpstream, running

BODY = b'{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"echo","arguments":{}}}'


@pytest.fixture(scope="module")
def module_fake() -> Iterator[FakeUpstream]:
    with running() as upstream:
        yield upstream


@pytest.fixture
def fake(module_fake: FakeUpstream) -> FakeUpstream:
    module_fake.requests.clear()
    return module_fake


def sent(*requests: UpstreamRequest, networks: Networks | None = None) -> list[str]:
    """Send by one client, one after the other, and return what each came to: `answered`, or why it was not sent."""

    async def main() -> list[str]:
        found = []
        async with Upstream(networks=networks or Networks()) as upstream:
            for request in requests:
                try:
                    async with await upstream.exchange(request):
                        found.append("answered")
                except UpstreamUnavailable as fault:
                    found.append(f"{fault.detail}: {fault.message} executed: {fault.executed}")
        return found

    return asyncio.run(asyncio.wait_for(main(), 20))


def to(url: str, narrower: Networks | None = None) -> UpstreamRequest:
    return UpstreamRequest(url=url, body=BODY, id=0, route=Route(networks=narrower) if narrower else None)


def test_a_forbidden_address_is_not_dialled_and_the_refusal_names_the_setting(fake: FakeUpstream) -> None:
    [said] = sent(to(fake.url), networks=Networks.read(["!127.0.0.0/8"]))
    assert said.startswith("address_refused: ")
    assert said.endswith("executed: false")
    assert "forbidden by HOLDGATE_UPSTREAM_NETWORKS" in said
    assert "127.0.0.1" not in said  # callers are not told where the servers are
    assert not fake.requests


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_every_spelling_of_an_address_is_looked_at(fake: FakeUpstream, host: str) -> None:
    [said] = sent(to(fake.url.replace("127.0.0.1", host)), networks=Networks.read(["10.0.0.0/8"]))
    assert "outside of HOLDGATE_UPSTREAM_NETWORKS" in said
    assert not fake.requests


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1", "0"])
def test_an_address_written_as_a_number_leads_nowhere(fake: FakeUpstream, host: str) -> None:
    sent(to(fake.url.replace("127.0.0.1", host)), networks=Networks.read(["10.0.0.0/8"]))
    assert not fake.requests


def test_metadata_is_never_dialled(fake: FakeUpstream) -> None:
    for host in ("169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[::]"):
        [said] = sent(to(f"http://{host}:{fake.port}/mcp"))
        assert "never dialled" in said
    assert not fake.requests


def test_a_name_that_means_another_address_a_moment_later_leads_nowhere(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254", "127.0.0.1"]]
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("rebound.test", b"rebound.test"):
            return real(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    request = to(fake.url.replace("127.0.0.1", "rebound.test"))
    assert sent(request) == ["answered"]
    assert "never dialled" in sent(request)[0]
    assert sent(request) == ["answered"]  # of several addresses only what may be dialled is
    assert len(fake.requests) == 2


def test_a_kept_connection_does_not_serve_who_may_not_dial_it(fake: FakeUpstream) -> None:
    narrower = Networks.read(["10.0.0.0/8"], said_by="`networks` of the connection")
    found = sent(to(fake.url), to(fake.url, narrower), to(fake.url, Networks.read(["127.0.0.1"])))
    assert found[0] == found[2] == "answered"
    assert "outside of `networks` of the connection" in found[1]
    assert len(fake.requests) == 2


def test_the_keys_of_an_issuer_are_fetched_under_the_same_guard(fake: FakeUpstream) -> None:
    async def main() -> None:
        transport = pooled_transport(networks=Networks.read(["!127.0.0.0/8"]))
        try:
            await KeySets(transport).of(f"http://127.0.0.1:{fake.port}", None).current()
        finally:
            await transport.aclose()

    with pytest.raises(KeysUnavailable, match="forbidden by HOLDGATE_UPSTREAM_NETWORKS"):
        asyncio.run(main())
    assert not fake.requests


def test_a_literal_address_is_known_in_every_spelling() -> None:
    spelled = ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"]
    assert {literal(one) for one in spelled} == {"127.0.0.1"}
    assert literal("[::1]") == "::1"
    assert [literal(one) for one in ("mcp.internal", "localhost", "10.example", "")] == [""] * 4
