"""TLS, client certificates and proxies of a connection, with real servers on both sides."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from approvals.addresses import Networks
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Connection
from approvals.secrets import Secrets
from proxy.credentials import Credentials
from proxy.errors import Fault
from proxy.routes import LOOK_SECONDS, Route, Routes
from proxy.upstream import Upstream, UpstreamRequest
from tests.certificates import Authority
from tests.connect_proxy import ConnectProxy, connect_proxy
from tests.mutual_server import MutualServer, mutual_server
from tests.upstream import FakeUpstream, running

BODY = b'{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"echo","arguments":{}}}'
ENVIRON = {"PROXY_PASSWORD": "proxy-canary", "KEY_PASSWORD": "key-canary", "WRONG": "wrong-canary"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """What one process has: the client of servers, and the ways to them."""

    def __init__(self, networks: Networks | None = None) -> None:
        self.clock = Clock()
        self._networks = networks or Networks()
        self._secrets = Secrets(environ=ENVIRON)

    def send(self, *connections: Connection) -> list[str]:
        """Send a call to each in turn and return what came of it: `answered`, or how it failed."""
        return asyncio.run(asyncio.wait_for(self._send(connections), 20))

    async def _send(self, connections: tuple[Connection, ...]) -> list[str]:
        found = []
        routes = Routes(Credentials(self._secrets), clock=self.clock)
        async with Upstream(networks=self._networks) as upstream:
            for connection in connections:
                try:
                    route = await routes.of(connection)
                    request = UpstreamRequest(url=str(connection.url), body=BODY, id=0, route=route)
                    async with await upstream.exchange(request):
                        found.append("answered")
                except Fault as fault:
                    found.append(f"{fault.reason} {fault.detail} {fault.executed}: {fault.message}")
        assert not any("canary" in one for one in found)
        return found


def connected(url: str, **keys: Any) -> Connection:
    return Connection.model_validate({"url": url, "default": "allow", **keys})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextmanager
def serving(authority: Authority, name: str = "127.0.0.1", **more: Any) -> Iterator[FakeUpstream]:
    certificate, key = authority.issue(name)
    with running(tls={"ssl_certfile": str(certificate), "ssl_keyfile": str(key), **more}) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[FakeUpstream]:
    with serving(authority) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def mutual(authority: Authority) -> Iterator[MutualServer]:
    with mutual_server(authority) as made:
        yield made


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with connect_proxy("gateway:proxy-canary", {"mcp.test": "127.0.0.1"}) as made:
        yield made


def test_a_server_is_trusted_by_the_authority_that_its_connection_names(
    authority: Authority, server: FakeUpstream, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    trusted = connected(server.url, tls={"ca": f"file:{authority.ca}", "min_version": "1.3"})
    found = House().send(trusted, connected(server.url), connected(server.url, tls={"ca": f"file:{stranger.ca}"}))
    assert found[0] == "answered"
    # A connection that one context made serves no other one, although it is open still.
    assert [one.split(":")[0] for one in found[1:]] == ["upstream_unavailable certificate false"] * 2
    assert len(server.calls) == 1


def test_the_name_that_a_server_must_show_can_be_said(authority: Authority) -> None:
    with serving(authority, "mcp.test") as upstream:
        own = {"ca": f"file:{authority.ca}"}
        named = connected(upstream.url, tls={**own, "server_name": "mcp.test"})
        found = House().send(named, connected(upstream.url, tls=own))
    assert found[0] == "answered"
    assert found[1].startswith("upstream_unavailable certificate false")


@pytest.mark.parametrize("password", ["", "key-canary"])
def test_a_client_certificate_opens_a_server_that_wants_one(
    authority: Authority, mutual: MutualServer, password: str
) -> None:
    certificate, key = authority.issue("gateway", password, file=f"gateway{len(password)}")
    tls = {"ca": f"file:{authority.ca}", "certificate": f"file:{certificate}", "key": f"file:{key}"}
    reference = {"password": "env:KEY_PASSWORD"} if password else {}
    assert House().send(connected(mutual.url, tls={**tls, **reference})) == ["answered"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_missing_or_foreign_client_certificate_is_refused_before_the_call_is_read(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    certificate, key = Authority(tmp_path, "stranger").issue("gateway")
    own = {"ca": f"file:{authority.ca}"}
    foreign = {**own, "certificate": f"file:{certificate}", "key": f"file:{key}"}
    with mutual_server(authority, version) as server:
        found = House().send(connected(server.url, tls=foreign), connected(server.url, tls=own))
        assert not server.calls
    refused = "credential_unavailable client_certificate false"
    if version is ssl.TLSVersion.TLSv1_2:
        # Before TLS 1.3 a server does not say that it misses one.
        allowed = [{refused}, {"upstream_unavailable tls false"}]
    else:
        # From 1.3 on the call is sent before the server has looked. Where the network's reset overtakes the server's
        # word, nobody can know that the call was not read, and nobody claims it.
        allowed = [{refused, "outcome_unknown  unknown"}] * 2
    assert all(one.split(":")[0] in may for one, may in zip(found, allowed, strict=True)), found


def test_what_cannot_be_read_is_said_and_nothing_is_sent(
    authority: Authority, server: FakeUpstream, tmp_path: Path
) -> None:
    before = len(server.calls)
    certificate, key = authority.issue("locked", "key-canary")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    own = {"ca": f"file:{authority.ca}", "certificate": f"file:{certificate}"}
    found = House().send(
        connected(server.url, tls={"ca": "file:/nonexistent/ca.pem"}),
        connected(server.url, tls={"ca": f"file:{broken}"}),
        connected(server.url, tls={**own, "key": f"file:{key}", "password": "env:WRONG"}),
        connected(server.url, tls={**own, "key": f"file:{key}"}),
        connected(server.url, tls={**own, "key": f"file:{broken}"}),
        connected(server.url, tls={**own, "key": f"file:{key}", "password": "env:MISSING"}),
    )
    begin = ["upstream_unavailable tls_files false"] * 2 + ["credential_unavailable client_certificate false"] * 3
    assert [one.split(":")[0] for one in found] == [*begin, "credential_unavailable  false"]
    assert len(server.calls) == before


def test_a_rotated_certificate_serves_without_a_restart(
    authority: Authority, mutual: MutualServer, tmp_path: Path
) -> None:
    paths = {"certificate": tmp_path / "c.pem", "key": tmp_path / "k.pem"}
    house = House()

    def put(by: Authority, name: str) -> None:
        for made, path in zip(by.issue(name), paths.values(), strict=True):
            shutil.copy(made, path)

    async def main() -> list[str]:
        connection = connected(
            mutual.url, tls={"ca": f"file:{authority.ca}", **{name: f"file:{path}" for name, path in paths.items()}}
        )
        routes, found = Routes(Credentials(Secrets(environ={})), clock=house.clock), []
        async with Upstream() as upstream:
            for by in (Authority(tmp_path, "stranger"), authority):
                put(by, "rotated")
                house.clock.now += LOOK_SECONDS
                route = await routes.of(connection)
                assert (await routes.of(connection)) == route  # nothing changed, so nothing is made anew
                try:
                    async with await upstream.exchange(UpstreamRequest(url=mutual.url, body=BODY, id=0, route=route)):
                        found.append("answered")
                except Fault as fault:
                    found.append(fault.reason)
        return found

    assert asyncio.run(main()) == ["credential_unavailable", "answered"]


def test_a_proxy_connects_and_never_sees_what_is_said(authority: Authority, proxy: ConnectProxy) -> None:
    login = {"url": proxy.url, "user": "gateway", "password": "env:PROXY_PASSWORD"}
    with serving(authority, "mcp.test") as upstream:
        url = upstream.url.replace("127.0.0.1", "mcp.test")  # a name that the proxy alone knows
        tls = {"ca": f"file:{authority.ca}"}
        found = House().send(
            connected(url, tls=tls, proxy=login), connected(url, tls=tls, proxy={**login, "password": "env:WRONG"})
        )
        assert upstream.calls[0].header("proxy-authorization") is None
        assert len(upstream.calls) == 1
    assert found[0] == "answered"
    assert found[1].startswith("upstream_unavailable proxy_refused false")
    assert "407" in found[1]
    assert [head.split("\r\n")[0] for head in proxy.heads] == [f"CONNECT mcp.test:{upstream.port} HTTP/1.1"] * 2
    assert not any("echo" in head for head in proxy.heads)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_proxy_may_be_spoken_to_over_tls_as_well(authority: Authority, run: Callable[[Any], Any]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("127.0.0.1", file="proxy"))
    trusting = ssl.create_default_context(cafile=str(authority.ca))

    async def main(proxy: ConnectProxy, upstream: FakeUpstream) -> int:
        async with Upstream(tls=trusting) as client:
            request = UpstreamRequest(url=upstream.url, body=BODY, id=0, route=Route(proxy=proxy.url))
            async with await client.exchange(request) as answer:
                return answer.status

    with connect_proxy(tls=context) as proxy, serving(authority) as upstream:
        assert run(main(proxy, upstream)) == 200
    assert proxy.heads[0].startswith("CONNECT 127.0.0.1:")
    assert len(upstream.calls) == 1


def test_a_proxy_is_dialled_and_asked_within_the_networks_only(authority: Authority, proxy: ConnectProxy) -> None:
    tls = {"ca": f"file:{authority.ca}"}
    [said] = House(Networks.read(["!127.0.0.0/8"])).send(
        connected("https://mcp.test/", tls=tls, proxy={"url": proxy.url})
    )
    assert said.startswith("upstream_unavailable address_refused false")
    targets = ["https://10.9.9.9/", "https://0x7f.1/"]
    for target in targets:
        narrow = {"networks": ["127.0.0.0/16"] if "10." in target else ["10.0.0.0/8"]}
        [said] = House().send(connected(target, tls=tls, proxy={"url": proxy.url}, **narrow))
        assert said.startswith("upstream_unavailable address_refused false")
    assert not proxy.heads


def test_a_proxy_that_is_not_there_is_named(authority: Authority) -> None:
    with connect_proxy() as gone:
        pass
    [said] = House().send(connected("https://mcp.test/", proxy={"url": gone.url}))
    assert said.startswith("upstream_unavailable proxy_unreachable false")


DOCUMENT = "connections: {a: {url: 'https://mcp.test/', default: allow, %s}}"
WRONG = [
    ("tls: {ca: /etc/ca.pem}", "tls.ca", "must name a file"),
    ("tls: {key: 'file:/k.pem'}", "tls.key", "needs certificate"),
    ("tls: {min_version: '1.1'}", "tls.min_version", "1.2"),
    ("tls: {verify: false}", "tls.verify", "unknown key"),
    ("proxy: {url: 'http://p.test:3128/x'}", "proxy.url", "alone"),
    ("proxy: {url: 'http://u:secret@p.test:3128'}", "proxy.url", "must not carry"),
    ("proxy: {url: 'http://169.254.169.254'}", "proxy.url", "never dialled"),
    ("proxy: {url: 'http://p.test', user: a}", "proxy.password", "required"),
    ("proxy: {url: 'http://p.test', user: a, password: secret}", "proxy.password", "reference"),
    ("proxy: {url: 'https://p.test'}, tls: {ca: 'file:/c.pem'}", "proxy.url", "beside `tls`"),
]


@pytest.mark.parametrize(("keys", "key", "reason"), WRONG)
def test_what_is_wrong_is_said(keys: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DOCUMENT % keys)
    (problem,) = caught.value.problems
    assert problem.key == f"connections.a.{key}"
    assert reason in problem.reason
    assert "secret" not in problem.reason.replace("a secret", "")


@pytest.mark.parametrize("keys", ["tls: {min_version: '1.3'}", "proxy: {url: 'http://p.test'}"])
def test_tls_and_proxy_are_for_encrypted_servers(keys: str) -> None:
    with pytest.raises(ConfigError, match="begins with https"):
        load((DOCUMENT % keys).replace("https://mcp", "http://mcp"))
