"""Grants that are renewed: stored sealed before they are used, by one of all processes, and ended where they end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.db import connection as database

from approvals.config.schema import Connection
from approvals.database import database_now
from approvals.secrets import Secret, Secrets
from approvals.verdicts import Caller
from proxy.credentials import Credentials
from proxy.errors import CredentialUnavailable
from proxy.models import TokenGrant
from proxy.oauth import stored
from proxy.oauth.asking import Granted
from proxy.oauth.tokens import Asker, Tokens
from proxy.upstream import pooled_transport
from tests.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server
from tests.issuer import FakeIssuer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.promise("secrets-stay")]

T = TypeVar("T")
SEED = "canary-refresh-seed"
ANYBODY = Asker(Caller(iss="", sub="", kind="agent"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        made.refresh[SEED] = "service"
        yield made


def connected(server: AuthorizationServer, **keys: Any) -> Connection:
    own = {"grant": "refresh_token", "client_id": CLIENT_ID, "client_secret": "env:S", "refresh_token": "env:R"}
    oauth = {**own, "token_endpoint": server.token_endpoint, **keys}
    shown = {name: value for name, value in oauth.items() if value is not None}
    return Connection.model_validate({
        "url": "https://mcp.example.com/mcp",
        "default": "allow",
        "credential": {"oauth": shown},
    })  # fmt: skip


def process(work: Callable[[Tokens], Awaitable[T]], seed: str = SEED, clock: Clock | None = None) -> T:
    """Do something with what one process of the gateway has."""

    async def main() -> T:
        transport = pooled_transport()
        credentials = Credentials(Secrets(environ={"S": CLIENT_SECRET, "R": seed}))
        try:
            return await asyncio.wait_for(work(Tokens(transport, credentials, clock=clock or Clock())), 25)
        finally:
            await transport.aclose()

    return asyncio.run(main())


def got(server: AuthorizationServer, seed: str = SEED, **keys: Any) -> str:
    async def work(tokens: Tokens) -> str:
        return (await tokens.get("c", connected(server, **keys), ANYBODY)).secret.reveal()

    return process(work, seed)


def failure(server: AuthorizationServer, seed: str = SEED) -> CredentialUnavailable:
    with pytest.raises(CredentialUnavailable) as caught:
        got(server, seed)
    assert caught.value.executed == "false"
    assert "canary" not in caught.value.message
    return caught.value


def run_out() -> None:
    """Let the stored access token come to its end, as time does."""
    for row in TokenGrant.objects.all():
        found = stored.load(row.pk)
        assert found is not None
        granted = Granted(found.access, 0.0) if found.access is not None else None
        row.sealed = stored._sealed(row.pk, found.refresh, granted)
        row.save()


def test_a_rotated_token_is_stored_sealed_and_serves_every_process(server: AuthorizationServer) -> None:
    first = got(server)
    assert got(server) == first
    assert len(server.asked) == 1
    row = TokenGrant.objects.get()
    assert "canary" not in str(bytes(row.sealed)) + repr(row) + str(row) + row.pk
    run_out()
    second = got(server)
    assert second != first
    assert [form["refresh_token"][0] == SEED for form in server.asked] == [True, False]
    assert len(server.refresh) == 1  # the family lives: no token was shown twice


@pytest.mark.parametrize("rotates", [True, False])
def test_it_is_renewed_again_and_again(server: AuthorizationServer, rotates: bool) -> None:
    server.rotates = rotates
    found = set()
    for _ in range(5):
        found.add(got(server))
        run_out()
    assert len(found) == len(server.asked) == 5


def test_a_public_client_shows_no_secret(server: AuthorizationServer) -> None:
    server.takes_public_clients = True
    got(server, client_secret=None)
    assert server.ways == ["public"]


def test_of_several_processes_one_renews_and_the_others_take_its_token(server: AuthorizationServer) -> None:
    server.go.clear()
    found: list[str] = []

    def one() -> None:
        try:
            found.append(got(server))
        finally:
            database.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while not TokenGrant.objects.filter(leased_until__isnull=False).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    server.go.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == len(server.asked) == 1


def test_a_lease_of_a_process_that_died_ends(server: AuthorizationServer) -> None:
    got(server)
    run_out()
    TokenGrant.objects.update(turn=7, leased_until=database_now() + timedelta(seconds=0.3))
    assert got(server) in server.good


def test_what_a_slow_process_got_does_not_overwrite_what_came_meanwhile(server: AuthorizationServer) -> None:
    got(server)
    run_out()
    place = TokenGrant.objects.get().pk

    def reconnected() -> None:
        refresh = Secret(str(server.give("service", refreshable=True)["refresh_token"]))
        stored.put(place, connection="c", holder="", refresh=refresh)
        database.close()

    server.meanwhile = reconnected
    assert failure(server).detail == "grant_busy"
    server.meanwhile = None
    assert got(server) in server.good


def test_what_cannot_be_stored_at_first_is_stored_before_it_is_used(server: AuthorizationServer) -> None:
    got(server)
    run_out()
    table = TokenGrant._meta.db_table

    def rename(old: str, new: str) -> None:
        with database.cursor() as cursor:
            cursor.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')
        database.close()

    def away() -> None:
        rename(table, "away")
        threading.Timer(0.1, rename, ("away", table)).start()

    server.meanwhile = away
    token = got(server)
    server.meanwhile = None
    assert got(server) == token  # another process finds it
    run_out()
    assert got(server) in server.good
    assert len(server.refresh) == 1


def test_a_grant_that_ended_says_so_and_a_new_first_token_begins_another(server: AuthorizationServer) -> None:
    got(server)
    run_out()
    server.refresh.clear()
    for _ in range(2):
        assert failure(server).detail == "grant_ended"
    assert len(server.asked) == 2  # who said no once is not asked again
    server.refresh["canary-refresh-seed-2"] = "service"
    assert got(server, "canary-refresh-seed-2") in server.good


def test_a_failure_that_passes_ends_nothing(server: AuthorizationServer) -> None:
    got(server)
    run_out()
    for fault in ((503, {}), (400, {"error": "temporarily_unavailable"}), (200, b"canary")):
        server.fault = fault
        assert failure(server).detail != "grant_ended"
    server.fault = None
    assert got(server) in server.good


def test_a_refused_token_is_renewed_although_it_is_stored_as_good(server: AuthorizationServer) -> None:
    async def work(tokens: Tokens) -> None:
        connection = connected(server)
        first = (await tokens.get("c", connection, ANYBODY)).secret
        tokens.forget("c", connection, ANYBODY, first)
        second = (await tokens.get("c", connection, ANYBODY)).secret
        assert first != second == tokens.peek("c", connection, ANYBODY)

    process(work)
    assert len(server.asked) == 2


def test_another_server_or_client_has_nothing_of_a_grant(server: AuthorizationServer) -> None:
    server.rotates = False
    got(server)
    got(server, scope=["more"], client_secret="env:S")
    assert TokenGrant.objects.count() == 2
    assert [form["refresh_token"] for form in server.asked] == [[SEED], [SEED]]


def test_old_grants_are_forgotten(server: AuthorizationServer) -> None:
    got(server)
    assert stored.forget_old() == 0
    TokenGrant.objects.update(renewed_at=database_now() - stored.UNUSED - timedelta(days=1))
    assert stored.forget_old() == 1


# Token exchange (RFC 8693)


def exchanging(server: AuthorizationServer, **keys: Any) -> Connection:
    return connected(server, grant="token_exchange", refresh_token=None, **keys)


def test_a_callers_token_is_exchanged_for_one_of_that_caller(server: AuthorizationServer) -> None:
    issuer = FakeIssuer("https://id.example.com")

    async def work(tokens: Tokens) -> list[str]:
        found = []
        for subject in ("alice", "bob", "alice"):
            asker = Asker(Caller(iss=issuer.url, sub=subject, kind="person"), Secret(made[subject]))
            found.append((await tokens.get("c", exchanging(server), asker)).secret.reveal())
        return found

    made = {subject: issuer.token(subject) for subject in ("alice", "bob")}
    first, other, again = process(work)
    assert first == again != other
    assert (server.good[first], server.good[other]) == ("alice", "bob")
    form = server.asked[0]
    assert form["subject_token"] == [made["alice"]]
    assert form["subject_token_type"] == ["urn:ietf:params:oauth:token-type:access_token"]
    assert form["resource"] == ["https://mcp.example.com/mcp"]
    assert not TokenGrant.objects.exists()


def test_without_a_caller_nothing_is_exchanged(server: AuthorizationServer) -> None:
    async def work(tokens: Tokens) -> None:
        with pytest.raises(CredentialUnavailable) as caught:
            await tokens.get("c", exchanging(server), ANYBODY)
        assert caught.value.detail == "no_caller"

    process(work)
    assert not server.asked


def test_a_callers_own_token_that_is_given_back_never_becomes_the_servers(server: AuthorizationServer) -> None:
    own = FakeIssuer("https://id.example.com").token("alice")
    server.fault = (200, {"access_token": own, "token_type": "N_A", "expires_in": 60})

    async def work(tokens: Tokens) -> None:
        asker = Asker(Caller(iss="https://id.example.com", sub="alice", kind="person"), Secret(own))
        with pytest.raises(CredentialUnavailable) as caught:
            await tokens.get("c", exchanging(server), asker)
        assert caught.value.detail == "token_invalid"
        assert own not in caught.value.message

    process(work)
