"""Mail through a real server: what it refuses, how it is encrypted, and what its settings may be."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from approvals.notices import mail
from approvals.outbox import Dead, Delivery, Retry, Sent
from gatewayproj.mail import parse
from tests.approvals.test_notices import SAMPLE
from tests.mail_server import mail_server


def use(settings: Any, url: str) -> None:
    for name, value in parse(url).items():
        setattr(settings, name, value)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def sent() -> Delivery:
    return mail.deliver(mail.compose(SAMPLE, sender="holdgate@example.com", recipient="dba@example.com"))


def test_a_mail_arrives_as_text_and_as_html(settings: Any) -> None:
    with mail_server() as server:
        use(settings, f"smtp://127.0.0.1:{server.port}")
        assert sent() == Sent({"message_id": "<01-approval.requested@example.com>"})
        letter = server.wait()
    assert letter["To"] == "dba@example.com"
    kinds = [part.get_content_type() for part in letter.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    body = letter.get_body(("plain",))
    assert body is not None
    assert SAMPLE.url in body.get_content()


@pytest.mark.parametrize(
    ("said", "kind"),
    [("550 no such user", Dead), ("450 mailbox busy", Retry), ("451 greylisted, come again", Retry)],
)
def test_a_server_that_will_never_take_it_is_told_from_one_that_will_later(settings: Any, said: str, kind: Any) -> None:
    with mail_server() as server:
        use(settings, f"smtp://127.0.0.1:{server.port}")
        server.answers.append(said)
        outcome = sent()
    assert isinstance(outcome, kind)
    assert said in outcome.reason


def test_a_server_that_is_not_there_is_tried_again(settings: Any) -> None:
    with mail_server() as server:
        use(settings, f"smtp://127.0.0.1:{server.port}")
    assert sent() == Retry("the mail server was not reached (ConnectionRefusedError)")


def test_without_a_server_nothing_is_tried(settings: Any) -> None:
    use(settings, "")
    assert sent() == Dead(mail.NOT_CONFIGURED)


def test_encryption_that_cannot_be_trusted_or_is_not_offered_stops_the_mail(settings: Any, tmp_path: Path) -> None:
    with mail_server(tls=own_certificate(tmp_path)) as server:
        use(settings, f"smtp://127.0.0.1:{server.port}")
        settings.EMAIL_USE_TLS = True
        assert sent() == Retry("the mail server was not reached (SSLCertVerificationError)")
        assert server.mails.empty()
    with mail_server() as server:
        settings.EMAIL_PORT = server.port
        assert sent() == Retry("the mail server offers no encryption")
        assert server.mails.empty()


def own_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, pem, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(certificate.public_bytes(encoding) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_mail_leaves_this_machine_encrypted_alone() -> None:
    assert parse("smtp://mail.example.com")["EMAIL_USE_TLS"] is True
    assert parse("smtp://mail.example.com")["EMAIL_PORT"] == 587
    assert parse("smtps://mail.example.com")["EMAIL_USE_SSL"] is True
    assert parse("smtp://127.0.0.1:2525")["EMAIL_USE_TLS"] is False


def test_the_password_may_come_apart_from_the_address() -> None:
    found = parse("smtp://holdgate%40example.com:old@mail.example.com", "from-a-file")
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("holdgate@example.com", "from-a-file")
    assert parse("smtp://u:p%2Fw@mail.example.com")["EMAIL_HOST_PASSWORD"] == "p/w"


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://u:hunter2@:25", "smtp://h:x"])
def test_an_address_that_names_no_mail_server_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        parse(url)
    assert url not in str(caught.value)
    assert "hunter2" not in str(caught.value)
