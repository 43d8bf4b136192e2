"""Tokens of client credentials: how they are asked for, kept, and what every failure says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from approvals import known
from approvals.addresses import Networks
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Connection
from approvals.secrets import Secrets
from approvals.verdicts import Caller
from proxy.credentials import Credentials
from proxy.errors import CredentialUnavailable
from proxy.oauth.tokens import RETRY_SECONDS, Asker, Tokens
from proxy.upstream import pooled_transport
from tests.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server

T = TypeVar("T")
URL = "https://mcp.example.com/mcp"
ANYBODY = Asker(Caller(iss="", sub="", kind="agent"))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


def connected(server: AuthorizationServer, **keys: Any) -> Connection:
    own = {"client_id": CLIENT_ID, "grant": "client_credentials"}
    where = {} if "issuer" in keys else {"token_endpoint": server.token_endpoint}
    who = {} if "private_key" in keys else {"client_secret": "env:CLIENT_SECRET"}
    return Connection.model_validate({
        "url": URL,
        "default": "allow",
        "credential": {"oauth": {**own, **where, **who, **keys}},
    })  # fmt: skip


def within(work: Callable[[Tokens], Awaitable[T]], clock: Clock | None = None, networks: Networks | None = None) -> T:
    async def main() -> T:
        transport = pooled_transport(networks=networks or Networks())
        credentials = Credentials(Secrets(environ={"CLIENT_SECRET": CLIENT_SECRET}))
        try:
            work_done = work(Tokens(transport, credentials, clock=clock or Clock()))
            return await asyncio.wait_for(work_done, 20)
        finally:
            await transport.aclose()

    return asyncio.run(main())


def got(connection: Connection, **where: Any) -> str:
    async def work(tokens: Tokens) -> str:
        return (await tokens.get("c", connection, ANYBODY)).secret.reveal()

    return within(work, **where)


def failure(connection: Connection, **where: Any) -> CredentialUnavailable:
    with pytest.raises(CredentialUnavailable) as caught:
        got(connection, **where)
    assert caught.value.executed == "false"
    assert "canary" not in caught.value.message + repr(caught.value) + caught.value.detail
    return caught.value


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a_token_is_asked_for_with_what_it_is_to_be_good_for(server: AuthorizationServer, way: str) -> None:
    token = got(connected(server, client_auth=way, scope=["read", "write"], audience=["orders"]))
    assert token in server.good
    assert server.ways == [way]
    [form] = server.asked
    said = {"grant_type": "client_credentials", "scope": "read write", "audience": "orders", "resource": URL}
    assert {name: form[name] for name in said} == {name: [value] for name, value in said.items()}


@pytest.mark.parametrize(("resource", "sent"), [("none", None), ("https://other.example", ["https://other.example"])])
def test_the_resource_is_the_servers_address_unless_another_or_none_is_said(
    server: AuthorizationServer, resource: str, sent: list[str] | None
) -> None:
    got(connected(server, resource=resource))
    assert server.asked[0].get("resource") == sent


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["rsa", "ec", "ed25519"],
)
def test_a_client_with_a_key_signs_who_it_is(
    server: AuthorizationServer, tmp_path: Path, key: Any, algorithm: str
) -> None:
    file = tmp_path / "client.pem"
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, pkcs8, plain))
    server.client_key = key.public_key()
    assert got(connected(server, private_key=f"file:{file}", key_id="k1")) in server.good
    assert server.ways == [f"signed {algorithm}"]
    file.write_text("no key")
    assert failure(connected(server, private_key=f"file:{file}")).detail == "client_key"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("", "/.well-known/oauth-authorization-server"),
        ("/realms/corp", "/.well-known/oauth-authorization-server/realms/corp"),
        ("/realms/corp", "/realms/corp/.well-known/openid-configuration"),
    ],
)
def test_the_endpoint_is_found_by_the_issuers_metadata(server: AuthorizationServer, path: str, where: str) -> None:
    issuer = server.issuer + path
    server.metadata = {where: {"issuer": issuer, "token_endpoint": server.token_endpoint}}
    assert got(connected(server, issuer=issuer)) in server.good


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"issuer": "https://evil.example", "token_endpoint": "https://evil.example/token"},
        {"token_endpoint": "https://evil.example/token"},
        {"issuer": "ISSUER"},
        {"issuer": "ISSUER", "token_endpoint": "http://evil.example/token"},
        {"issuer": "ISSUER", "token_endpoint": ["https://evil.example/token"]},
        b"<html>",
    ],
)
def test_metadata_that_is_not_the_issuers_leads_nowhere(server: AuthorizationServer, document: Any) -> None:
    if isinstance(document, dict) and document.get("issuer") == "ISSUER":
        document = {**document, "issuer": server.issuer}
    server.metadata = {"/.well-known/oauth-authorization-server": document} if document else {}
    assert failure(connected(server, issuer=server.issuer)).detail in {"issuer_metadata", "issuer_unreachable"}
    assert not server.asked


def test_calls_that_need_a_token_together_ask_once_and_those_after_them_not_at_all(
    server: AuthorizationServer,
) -> None:
    server.go.clear()

    async def work(tokens: Tokens) -> list[tuple[str, bool]]:
        asking = [asyncio.ensure_future(tokens.get("c", connected(server), ANYBODY)) for _ in range(30)]
        await asyncio.sleep(0)
        asking[0].cancel()  # a caller that leaves takes the token from nobody
        server.go.set()
        found = await asyncio.gather(*asking[1:])
        found.append(await tokens.get("c", connected(server), ANYBODY))
        return [(token.secret.reveal(), token.was_kept) for token in found]

    found = within(work)
    assert {token for token, _ in found} == set(server.good)
    assert [was_kept for _, was_kept in found] == [False] * 29 + [True]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("seconds", "kept"), [(3600, 3480), ("7200", 7080), (40, 30), (None, 225), ("x", 225), (0, 0), (10**9, 86280)]
)
def test_a_token_is_kept_until_shortly_before_its_end(server: AuthorizationServer, seconds: Any, kept: int) -> None:
    server.seconds, clock = seconds, Clock()

    async def work(tokens: Tokens) -> list[int]:
        counts = []
        for step in (0, max(kept - 1, 0), 1):
            clock.now += step
            await tokens.get("c", connected(server), ANYBODY)
            counts.append(len(server.asked))
        return counts

    assert within(work, clock) == ([1, 1, 2] if kept else [1, 2, 3])


def test_a_refused_token_is_forgotten_and_a_newer_one_is_not(server: AuthorizationServer) -> None:
    async def work(tokens: Tokens) -> None:
        connection = connected(server)
        first = (await tokens.get("c", connection, ANYBODY)).secret
        tokens.forget("c", connection, ANYBODY, first)
        second = (await tokens.get("c", connection, ANYBODY)).secret
        tokens.forget("c", connection, ANYBODY, first)
        assert (await tokens.get("c", connection, ANYBODY)).secret == second == tokens.peek("c", connection, ANYBODY)
        assert first != second

    within(work)
    assert len(server.asked) == 2


def test_another_client_scope_or_connection_has_another_token(server: AuthorizationServer) -> None:
    async def work(tokens: Tokens) -> set[str]:
        places = [("a", connected(server)), ("b", connected(server)), ("a", connected(server, scope=["x"]))]
        return {(await tokens.get(*place, ANYBODY)).secret.reveal() for place in places}

    assert len(within(work)) == 3


REFUSALS: list[tuple[int, Any, str]] = [
    (400, {"error": "invalid_scope", "error_description": "canary"}, "token_refused:invalid_scope"),
    (401, {"error": "<canary>"}, "token_refused"),
    (403, b"canary", "token_refused"),
    (200, {"access_token": "canary", "token_type": "mac"}, "token_invalid"),
    (200, {"access_token": "canary"}, "token_invalid"),
    (200, {"access_token": "canary\r\nx-evil: 1", "token_type": "bearer"}, "token_invalid"),
    (200, {"access_token": "", "token_type": "bearer"}, "token_invalid"),
    (200, {"access_token": ["canary"], "token_type": "bearer"}, "token_invalid"),
    (200, b"[]", "token_invalid"),
    (200, b"canary", "token_invalid"),
    (302, {"access_token": "canary", "token_type": "bearer"}, "token_invalid"),
    (500, {"error": "canary"}, "token_invalid"),
    (200, b" " * 300_000, "token_endpoint_unreachable"),
]


@pytest.mark.parametrize(("status", "document", "detail"), REFUSALS)
def test_what_is_no_token_is_a_clear_error_without_the_servers_words(
    server: AuthorizationServer, status: int, document: Any, detail: str
) -> None:
    server.fault = (status, document)
    assert failure(connected(server)).detail == detail


def test_a_wrong_secret_a_closed_port_and_a_forbidden_network_are_told_apart(server: AuthorizationServer) -> None:
    assert failure(connected(server, client_id="other")).detail == "token_refused:invalid_client"
    assert failure(connected(server, client_secret="env:MISSING")).message.endswith("no MISSING.")
    closed = connected(server, token_endpoint="http://127.0.0.1:1/token")
    assert failure(closed).detail == "token_endpoint_unreachable"
    asked = len(server.asked)
    assert failure(connected(server), networks=Networks.read(["!127.0.0.0/8"])).detail == "token_endpoint_unreachable"
    assert len(server.asked) == asked


def test_a_failure_is_not_asked_about_again_by_every_call(server: AuthorizationServer) -> None:
    clock = Clock()

    async def work(tokens: Tokens) -> int:
        for _ in range(5):
            with pytest.raises(CredentialUnavailable, match="temporarily_unavailable"):
                await tokens.get("c", connected(server), ANYBODY)
        asked, server.fault = len(server.asked), None
        clock.now += RETRY_SECONDS
        await tokens.get("c", connected(server), ANYBODY)
        return asked

    server.fault = (400, {"error": "temporarily_unavailable"})
    assert within(work, clock) == 1


def test_tokens_are_hidden_wherever_they_appear_and_displace_no_lasting_secret(server: AuthorizationServer) -> None:
    known.remember("a-lasting-secret")
    server.seconds = 0

    async def work(tokens: Tokens) -> list[str]:
        return [(await tokens.get("c", connected(server), ANYBODY)).secret.reveal() for _ in range(5)]

    found = within(work)
    hidden = known.literals()
    assert "a-lasting-secret" in hidden
    assert [one in hidden for one in found] == [False, False, False, True, True]


WRONG = [
    ("grant: password", "grant", "client_credentials"),
    ("token_endpoint: 'http://as.example/token'", "token_endpoint", "https://"),
    ("token_endpoint: 'https://169.254.169.254/token'", "token_endpoint", "never dialled"),
    ("client_secret: hunter2", "client_secret", "reference"),
    ("private_key: 'file:/k.pem'", "private_key", "not beside it"),
    ("grant: refresh_token", "refresh_token", "needs it"),
    ("authorization_endpoint: 'https://as.example/a'", "authorization_endpoint", "belongs to grant authorization_code"),
    ("grant: authorization_code", "authorization_endpoint", "is required"),
    ("refresh_token: 'env:R'", "refresh_token", "belongs to grant refresh_token"),
    ("subject_token_type: jwt", "subject_token_type", "belongs to grant token_exchange"),
    ("key_id: k", "key_id", "private_key"),
    ("scope: ['a b']", "scope[0]", "one scope"),
    ("verify: 'false'", "verify", "unknown key"),
]
GOOD = {
    "grant": "client_credentials",
    "token_endpoint": "https://as.example/token",
    "client_id": "holdgate",
    "client_secret": "env:S",
}


@pytest.mark.parametrize(("change", "key", "reason"), WRONG)
def test_what_is_wrong_with_a_configuration_is_said(change: str, key: str, reason: str) -> None:
    name = change.partition(":")[0]
    rest = ", ".join(f"{known_key}: '{value}'" for known_key, value in GOOD.items() if known_key != name)
    with pytest.raises(ConfigError) as caught:
        load(f"connections: {{a: {{url: '{URL}', default: allow, credential: {{oauth: {{{rest}, {change}}}}}}}}}")
    (problem,) = caught.value.problems
    assert problem.key == f"connections.a.credential.oauth.{key}"
    assert reason in problem.reason
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("credential", "key"),
    [("{header: X-Key}", "value"), ("{value: 'env:A'}", "header"), ("{value: 'env:A', oauth: {}}", "oauth.grant")],
)
def test_a_credential_is_a_secret_or_a_way_to_tokens(credential: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"connections: {{a: {{url: '{URL}', default: allow, credential: {credential}}}}}")
    assert f"connections.a.credential.{key}" in {problem.key for problem in caught.value.problems}
