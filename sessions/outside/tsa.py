"""Checkpoints stamped by a time-stamping authority (RFC 3161): somebody else says that they existed by then."""

from __future__ import annotations

import http.client
import os
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from sessions.anchors import AnchorBroken

SCHEMES: Final = ("tsa+https", "tsa+http")
_SECONDS: Final = 30
_MOST_BYTES: Final = 256 * 1024
_QUERY: Final = "application/timestamp-query"


class Authority:
    """One authority. Each stamp is kept in the folder `keep`, beside the checkpoint that it is of.

    `ca` is a PEM file: roots, and certificates between them and the authority's own, which its answers bring along.
    A stamp that they do not vouch for is none. `minutes` lie between two stamps at least.
    """

    def __init__(self, url: SplitResult, *, keep: str = "", ca: str = "", minutes: str = "60") -> None:
        if not Path(keep).is_absolute() or not ca:
            raise ValueError("it needs keep=/FOLDER for the stamps and ca=FILE to check them")
        self.name = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
        self.every = timedelta(minutes=float(minutes))
        self._secure, self._host, self._port = url.scheme == SCHEMES[0], url.hostname or "", url.port
        self._path, self._keep, self._ca = url.path or "/", Path(keep), Path(ca)

    def put(self, note: str, size: int) -> None:
        """Have the checkpoint stamped, check the stamp and keep it. Raises AnchorBroken."""
        request = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = self._ask(request.as_bytes())
        try:
            trusted = load_pem_x509_certificates(self._ca.read_bytes())
            verifier = VerifierBuilder(
                nonce=request.nonce,
                roots=[one for one in trusted if _is_root(one)],
                intermediates=[one for one in trusted if not _is_root(one)],
            ).build()
            verifier.verify_message(decode_timestamp_response(answer), note.encode())
        except (VerificationError, ValueError, OSError) as error:
            raise AnchorBroken(f"{self.name}: the stamp does not hold: {error}") from error
        try:
            self._keep.mkdir(parents=True, exist_ok=True)
            _write(self._keep / f"{size:020d}.checkpoint", note.encode())
            _write(self._keep / f"{size:020d}.tsr", answer)
        except OSError as error:
            raise AnchorBroken(f"{self.name}: {error.strerror}: {self._keep}") from error

    def _ask(self, query: bytes) -> bytes:
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = made(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request("POST", self._path, query, {"content-type": _QUERY})
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise AnchorBroken(f"{self.name}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise AnchorBroken(f"{self.name}: answered {answer.status} {answer.reason}")
        return body


def _is_root(certificate: Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _write(path: Path, content: bytes) -> None:
    """Write a whole file that is on the disk before we return; the same as often as one likes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
