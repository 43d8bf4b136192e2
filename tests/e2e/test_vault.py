"""A credential out of Vault, through a real gateway: used, rotated without a restart, missed plainly, never shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.history import leaks
from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import CONNECTION, DAVE, GRACE, config_yaml
from tests.upstream import running
from tests.vault import FakeVault, running_vault
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("secrets-stay")

ORDERS = "secret/data/orders"
FIRST, SECOND = "vault-credential-Wn5kTz8pQx", "vault-credential-Jd2rLv6mHs"
ROLE = {"role_id": "role-id-Gx3vBn", "secret_id": "vault-secret-id-Yt7cKw4zRf"}


@pytest.fixture(scope="module")
def vault() -> Iterator[FakeVault]:
    with running_vault() as made:
        made.secrets[ORDERS] = {"token": FIRST}
        made.roles["approle", *ROLE.values()] = ((ORDERS,), 3600, 0)
        yield made


@pytest.fixture(scope="module")
def own(issuer: FakeIssuer, vault: FakeVault, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, shown = tmp_path_factory.mktemp("vault"), tmp_path_factory.mktemp("shown")
    files = {f"HOLDGATE_VAULT_{name.upper()}_FILE": str(shown / name) for name in ROLE}
    for name, value in ROLE.items():
        (shown / name).write_text(value)
    credential = {"header": "Authorization", "prefix": "Bearer ", "value": f"vault:{ORDERS}#token"}
    setting = {"HOLDGATE_VAULT_ADDR": vault.url, "HOLDGATE_VAULT_AUTH": "approle", **files}
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url, orders={"credential": credential})
        with world(folder, issuer, {CONNECTION: upstream}, text, **setting) as made:
            made.start()
            yield made
            assert made.gateway.stop() == 0


def call(own: World, text: str = "x") -> Answer:
    return own.caller(DAVE).call("echo", {"text": text, "marker": marker()})


def shown(own: World) -> str:
    """Return what the upstream was last shown as its credential."""
    return dict(own.upstream.calls[-1].headers)[b"authorization"].decode()


def test_the_upstream_is_shown_what_vault_holds_and_nobody_else(own: World, vault: FakeVault) -> None:
    answer = call(own, f"echo of {FIRST}")

    assert not answer.is_error
    assert shown(own) == f"Bearer {FIRST}"
    assert FIRST not in answer.text


def test_a_rotated_credential_is_used_without_a_restart(own: World, vault: FakeVault) -> None:
    call(own)
    vault.secrets[ORDERS] = {"token": SECOND}
    own.upstream.fault = "unauthorized"
    refused = call(own)
    own.upstream.fault = None

    assert refused.ours("decision")["reason"] == "credential_unavailable"
    assert not call(own, f"echo of {SECOND}").is_error
    assert shown(own) == f"Bearer {SECOND}"
    assert vault.count("auth/approle/login") == 1


def test_a_vault_that_does_not_give_it_stops_the_call_before_the_upstream(own: World, vault: FakeVault) -> None:
    own.upstream.fault = "unauthorized"  # which makes the gateway read it anew
    call(own)
    own.upstream.fault = None
    before, held = len(own.upstream.calls), vault.secrets.pop(ORDERS)
    try:
        refused = call(own)
    finally:
        vault.secrets[ORDERS] = held

    said = refused.ours("decision")
    assert (said["reason"], said["executed"]) == ("credential_unavailable", "false")
    assert f"Vault answered 404 for {ORDERS}" in said["message"]
    assert len(own.upstream.calls) == before
    assert not call(own).is_error


def test_neither_credential_nor_login_is_kept_or_said_anywhere(own: World, vault: FakeVault) -> None:
    call(own, f"{FIRST} {SECOND}")
    values = {"first": FIRST, "second": SECOND, "secret id": ROLE["secret_id"], "vault token": next(iter(vault.tokens))}
    said = [("a call", call(own, " ".join(values.values())).text.encode())]
    said += [(path, own.api(GRACE, "GET", path).content) for path in ("policy/", "sessions/", "connections/")]
    places = [*own.stored.contents(), ("log", "".join(own.gateway.log).encode()), *said]
    places += [(str(path), path.read_bytes()) for path in own.gateway.folder.rglob("*") if path.is_file()]

    assert list(leaks(values.items(), places)) == []
    assert any(ORDERS.encode() in content for _, content in places), "the reference itself is no secret"
    own.assert_history()
