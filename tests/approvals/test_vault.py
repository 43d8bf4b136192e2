"""Secrets out of Vault: both KV engines, leases, every way to log in, renewal, and errors that name no value."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from approvals import known, secret_reader
from approvals.secrets import Secrets, SecretUnavailable
from approvals.vault import LARGEST, Login, Vault
from tests.vault import FakeVault, running_vault

ORDERS = "secret/data/orders"
REFERENCE = f"vault:{ORDERS}#token"
CANARY = "vault-canary-Hq7mZs2Lw9"


class Clock:
    """Time that moves only when a test says so; Vault's and the gateway's."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Iterator[FakeVault]:
    with running_vault() as made:
        made.clock = clock
        made.secrets[ORDERS] = {"token": CANARY, "port": 5432, "empty": ""}
        yield made


def reader(vault: FakeVault, folder: Path, token: str | None = None, **more: Any) -> Secrets:
    """Return a reader that shows this token, or one that may read the orders."""
    file = folder / "vault-token"
    file.write_text((token or vault.token(ORDERS)) + "\n")
    login = Login("token", {"token": str(file)})
    return Secrets(vault=Vault(vault.url, login, clock=vault.clock, **more))


def approle(vault: FakeVault, folder: Path, ttl: float = 100, oldest: float = 0, *reads: str) -> Secrets:
    """Return a reader that logs in as a role whose tokens live so long."""
    files = {"role_id": "role-Ab3dEf", "secret_id": "secret-id-Xy9zWv"}
    for name, value in files.items():
        (folder / name).write_text(value)
    vault.roles["approle", *files.values()] = (reads or (ORDERS,), ttl, oldest)
    login = Login("approle", {name: str(folder / name) for name in files})
    return Secrets(vault=Vault(vault.url, login, clock=vault.clock))


def refusal(found: Secrets, reference: str = REFERENCE) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        found.fetch(reference)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert "hvs." not in shown
    return str(caught.value)


def test_a_field_of_a_versioned_secret_is_read_and_hidden_from_then_on(vault: FakeVault, tmp_path: Path) -> None:
    found = reader(vault, tmp_path)

    assert found.fetch(REFERENCE).reveal() == CANARY
    assert CANARY in known.literals()
    assert next(iter(vault.tokens)) in known.literals()


def test_a_field_of_an_engine_of_version_1_is_read(vault: FakeVault, tmp_path: Path) -> None:
    vault.plain["kv/team/orders"] = {"metadata": "m", "token": CANARY}
    found = reader(vault, tmp_path, vault.token("kv/team/orders"))

    assert found.fetch("vault:kv/team/orders#token").reveal() == CANARY
    assert found.fetch("vault:kv/team/orders#metadata").reveal() == "m"
    assert vault.count("kv/team/orders") == 2


def test_a_rotated_secret_is_seen_at_the_next_reading(vault: FakeVault, tmp_path: Path) -> None:
    found = reader(vault, tmp_path)
    found.fetch(REFERENCE)
    vault.secrets[ORDERS] = {"token": "rotated-Pk4"}

    assert found.fetch(REFERENCE).reveal() == "rotated-Pk4"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (f"vault:{ORDERS}#other", f"Vault has no field other at {ORDERS}"),
        (f"vault:{ORDERS}#port", f"the field port at {ORDERS} of Vault is not text"),
        (f"vault:{ORDERS}#empty", f"what Vault has at {ORDERS}#empty is empty"),
        ("vault:secret/orders#token", "has `data` after its mount"),
        ("vault:secret/data/gone#token", "the newest version there is deleted"),
        ("vault:secret/data/none#token", "Vault answered 404 for secret/data/none: nothing is there"),
        ("vault:secret/data/theirs#token", "Vault answered 403 for secret/data/theirs: its token may not read that"),
    ],
)
def test_what_is_not_there_is_named_by_path_and_cause(
    vault: FakeVault, tmp_path: Path, reference: str, said: str
) -> None:
    vault.secrets["secret/data/gone"] = None
    vault.secrets["secret/data/theirs"] = {"token": CANARY}
    token = vault.token(ORDERS, "secret/orders", "secret/data/gone", "secret/data/none")

    assert said in refusal(reader(vault, tmp_path, token), reference)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b"{}", "sealed"),
        (429, b"{}", "slow down"),
        (500, CANARY.encode(), f"Vault answered 500 for {ORDERS}"),
        (307, b"", "redirects are not followed"),
        (200, b"<html>", "is not Vault"),
        (200, b"[" * 100_000, "is not Vault"),
        (200, b" " * (LARGEST + 1), "more than 1 MiB"),
        (200, b'{"data": null}', "no field token"),
    ],
)
def test_answers_that_are_no_secret(vault: FakeVault, tmp_path: Path, status: int, body: bytes, said: str) -> None:
    found = reader(vault, tmp_path)
    assert found.fetch(REFERENCE).reveal() == CANARY
    vault.answer = status, body

    assert said in refusal(found)
    assert vault.count("elsewhere") == 0


def test_a_sealed_vault_is_asked_again_as_if_nothing_had_been(vault: FakeVault, tmp_path: Path) -> None:
    found = reader(vault, tmp_path, vault.token(ORDERS, ttl=100))
    vault.sealed = True
    assert "sealed" in refusal(found)
    vault.sealed = False

    assert found.fetch(REFERENCE).reveal() == CANARY


def test_a_silent_vault_has_a_deadline(vault: FakeVault, tmp_path: Path) -> None:
    found = reader(vault, tmp_path, timeout=0.3)
    vault.silent = True

    assert refusal(found) == f"Vault did not answer within 0.3 s for {ORDERS}"


def test_nobody_is_there(tmp_path: Path) -> None:
    with running_vault() as vault:
        found = reader(vault, tmp_path)

    assert f"Vault could not be asked for {ORDERS}: it was not reached (ConnectError)" in refusal(found)


def test_a_token_in_a_file_is_read_anew_and_renewed_at_half_of_its_life(
    vault: FakeVault, tmp_path: Path, clock: Clock
) -> None:
    found = reader(vault, tmp_path, vault.token(ORDERS, ttl=100))
    for _ in range(5):
        assert found.fetch(REFERENCE).reveal() == CANARY
        clock.now += 60
    assert vault.count("auth/token/renew-self") == 4

    clock.now += 200
    assert "no longer valid" in refusal(found)
    (tmp_path / "vault-token").write_text(vault.token(ORDERS))
    assert found.fetch(REFERENCE).reveal() == CANARY


def test_a_role_logs_in_once_renews_and_logs_in_anew_at_the_greatest_age(
    vault: FakeVault, tmp_path: Path, clock: Clock
) -> None:
    found = approle(vault, tmp_path, 100, 250)
    for _ in range(9):
        assert found.fetch(REFERENCE).reveal() == CANARY
        clock.now += 30
    assert vault.count("auth/approle/login") == 2
    assert vault.count("auth/token/renew-self") >= 3

    clock.now += 1000
    assert found.fetch(REFERENCE).reveal() == CANARY


def test_a_revoked_token_is_replaced_and_a_forbidden_path_is_no_reason_to_log_in_again_and_again(
    vault: FakeVault, tmp_path: Path, clock: Clock
) -> None:
    found = approle(vault, tmp_path)
    found.fetch(REFERENCE)
    vault.tokens.clear()
    clock.now += 60
    vault.roles = {key: (reads, 1000, 0) for key, (reads, _, _) in vault.roles.items()}

    assert found.fetch(REFERENCE).reveal() == CANARY
    before = vault.count("auth/approle/login")
    for _ in range(3):
        assert "403" in refusal(found, "vault:secret/data/theirs#token")
    assert vault.count("auth/approle/login") == before


def test_a_login_that_fails_while_the_token_still_lives_stops_nothing(
    vault: FakeVault, tmp_path: Path, clock: Clock
) -> None:
    found = approle(vault, tmp_path, 400, 400)
    found.fetch(REFERENCE)
    vault.roles.clear()
    clock.now += 300
    assert found.fetch(REFERENCE).reveal() == CANARY

    clock.now += 101
    assert "auth/approle/login: it does not know who we say we are" in refusal(found)


def test_a_pod_shows_its_service_account(vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("eyJ.pod.jwt")
    vault.roles["k8s", "eyJ.pod.jwt", "holdgate"] = ((ORDERS,), 100, 0)
    login = Login("kubernetes", {"jwt": str(tmp_path / "jwt")}, mount="k8s", role="holdgate")

    assert Secrets(vault=Vault(vault.url, login)).fetch(REFERENCE).reveal() == CANARY


def test_a_namespace_goes_along(vault: FakeVault, tmp_path: Path) -> None:
    vault.namespace = "team-a/"

    assert reader(vault, tmp_path, namespace="team-a/").fetch(REFERENCE).reveal() == CANARY
    assert "403" in refusal(reader(vault, tmp_path))


def test_a_leased_secret_serves_for_half_of_its_lease(vault: FakeVault, tmp_path: Path, clock: Clock) -> None:
    vault.dynamic["database/creds/orders"] = 200
    found = reader(vault, tmp_path, vault.token("database/creds/orders"))
    password, name = "vault:database/creds/orders#password", "vault:database/creds/orders#username"

    first = found.fetch(password).reveal()
    assert (found.fetch(name).reveal(), found.fetch(password).reveal()) == ("gateway", first)
    clock.now += 99
    assert found.fetch(password).reveal() == first
    clock.now += 2
    assert found.fetch(password).reveal() == vault.leased[1]
    found.forget(password)
    assert found.fetch(password).reveal() == vault.leased[1], "a minute must have passed"
    clock.now += 61
    found.forget(password)
    assert found.fetch(password).reveal() == vault.leased[2]


def test_a_leased_secret_ends_with_the_token_that_it_was_leased_to(
    vault: FakeVault, tmp_path: Path, clock: Clock
) -> None:
    vault.dynamic["database/creds/orders"] = 10_000
    found = approle(vault, tmp_path, 100, 100, "database/creds/orders")
    found.fetch("vault:database/creds/orders#password")
    clock.now += 80

    assert found.fetch("vault:database/creds/orders#password").reveal() == vault.leased[1]


def test_an_authority_of_ones_own_vouches_for_it(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    with running_vault(_certificate(tmp_path, authority)) as vault:
        vault.secrets[ORDERS] = {"token": CANARY}

        assert reader(vault, tmp_path, ca_file=str(authority)).fetch(REFERENCE).reveal() == CANARY
        assert "its certificate is not trusted" in refusal(reader(vault, tmp_path))
        assert "HOLDGATE_VAULT_CA_FILE" in refusal(reader(vault, tmp_path, ca_file=str(tmp_path / "none")))


def _certificate(folder: Path, authority: Path) -> ssl.SSLContext:
    """Make a certificate for 127.0.0.1 that vouches for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault.test")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "both.pem").write_bytes(private + authority.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"address": "http://vault.internal:8200"}, "HOLDGATE_VAULT_ADDR must be https"),
        ({"address": "https://user:pw@vault"}, "HOLDGATE_VAULT_ADDR must be https"),
        ({"address": "vault:8200"}, "HOLDGATE_VAULT_ADDR must be https"),
        ({"address": "https://vault:port"}, "HOLDGATE_VAULT_ADDR must be https"),
        ({"token": ""}, "HOLDGATE_VAULT_TOKEN_FILE must name a file"),
        ({"auth": "approle"}, "HOLDGATE_VAULT_ROLE_ID_FILE must name a file"),
        ({"auth": "kubernetes", "jwt": "/run/jwt"}, "HOLDGATE_VAULT_ROLE must be set"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(settings: Any, setting: dict[str, str], said: str) -> None:
    usual = {**settings.VAULT, "address": "https://vault:8200", "token": "/run/token"}
    settings.VAULT = {**usual, **setting}

    with pytest.raises(ImproperlyConfigured) as caught:
        secret_reader.configured.__wrapped__()
    assert said in str(caught.value)
    assert "pw" not in str(caught.value)


def test_settings_make_a_reader(settings: Any, vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(vault.token(ORDERS))
    settings.VAULT = {**settings.VAULT, "address": f"{vault.url}/", "token": str(tmp_path / "token")}

    assert secret_reader.configured.__wrapped__().fetch(REFERENCE).reveal() == CANARY


def test_without_an_address_the_setting_is_named() -> None:
    assert refusal(Secrets()) == "HOLDGATE_VAULT_ADDR is not set"


@pytest.mark.parametrize("content", [b"", b"two\nlines", "tök".encode(), None])
def test_a_file_that_is_no_token_is_named(vault: FakeVault, tmp_path: Path, content: bytes | None) -> None:
    found = reader(vault, tmp_path)
    file = tmp_path / "vault-token"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    assert str(file) in refusal(found)
    assert json.dumps(vault.asked) == "[]"
