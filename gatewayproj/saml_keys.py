"""The key by which we sign requests to SAML identity providers, and the certificate that tells them its public half."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gatewayproj.keys import key_file

if TYPE_CHECKING:
    from pathlib import Path

YEARS = 20  # SAML looks at the key and not at the dates; some administrators' pages do


@cache
def files(state_dir: Path) -> tuple[Path, Path]:
    """Return the files of key and certificate, made at the first use. Raises ImproperlyConfigured."""
    folder = state_dir / "keys"
    if not (folder / "saml.crt").exists():
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Whoever's key was first, the certificate is made of that one.
        kept = key_file(state_dir, "saml.key", fresh)
        key_file(state_dir, "saml.crt", _certificate(kept))
    return folder / "saml.key", folder / "saml.crt"


def _certificate(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        msg = "keys/saml.key in the state folder is not an RSA key"
        raise TypeError(msg)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holdgate")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
