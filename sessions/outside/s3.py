"""Checkpoints as locked objects of an S3-compatible store: one PUT, signed by AWS Signature Version 4."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from sessions.anchors import EACH_MINUTE, AnchorBroken

_SECONDS: Final = 30
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_MODES: Final = ("COMPLIANCE", "GOVERNANCE")


class Keys(NamedTuple):
    """The credentials; `token` is of temporary ones."""

    access: str
    secret: str
    token: str = ""


class Bucket:
    """A bucket with object lock. What was put there can be neither changed nor deleted until its days are over."""

    every = EACH_MINUTE

    def __init__(
        self, bucket: str, prefix: str, keys: Keys, *, region: str = "us-east-1", endpoint: str = "", days: str = "400",
        mode: str = "COMPLIANCE",
    ) -> None:  # fmt: skip
        if mode not in _MODES:
            raise ValueError(f"mode is one of {', '.join(_MODES)}")
        if not keys.access or not keys.secret:
            raise ValueError("HOLDGATE_S3_ACCESS_KEY and HOLDGATE_S3_SECRET_KEY are not set")
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._endpoint = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
        self._path = "/" + "/".join(quote(part, safe="") for part in (bucket, *prefix.split("/")) if part)
        self._keys, self._region, self._days, self._mode = keys, region, int(days), mode

    def put(self, note: str, size: int) -> None:
        """Put the checkpoint under its size. Raises AnchorBroken."""
        now, body = datetime.now(UTC), note.encode()
        path = f"{self._path}/{quote(note.split(chr(10))[0], safe='')}/{size:020d}.checkpoint"
        headers = {
            "host": self._endpoint.netloc,
            "content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            "content-type": "text/plain; charset=utf-8",
            "x-amz-object-lock-mode": self._mode,
            "x-amz-object-lock-retain-until-date": f"{now + timedelta(days=self._days):%Y-%m-%dT%H:%M:%SZ}",
            **({"x-amz-security-token": self._keys.token} if self._keys.token else {}),
        }
        self._send(path, body, signed(headers, path, body, self._keys, self._region, now))

    def _send(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        secure = self._endpoint.scheme == "https"
        made = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = made(self._endpoint.hostname or "", self._endpoint.port, timeout=_SECONDS)
        try:
            connection.request("PUT", path, body, dict(headers))
            answer = connection.getresponse()
            answer.read(65_536)
        except (OSError, http.client.HTTPException) as error:
            raise AnchorBroken(f"{self.name}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise AnchorBroken(f"{self.name}: answered {answer.status} {answer.reason}")


def signed(
    headers: Mapping[str, str], path: str, body: bytes, keys: Keys, region: str, now: datetime
) -> dict[str, str]:
    """Return the header fields of a PUT with its signature. `path` is encoded, names are in lower case."""
    digest = hashlib.sha256(body).hexdigest()
    fields = {**headers, "x-amz-content-sha256": digest, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    names = ";".join(sorted(fields))
    canonical = "\n".join(
        ["PUT", path, "", *(f"{name}:{fields[name].strip()}" for name in sorted(fields)), "", names, digest]
    )
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, fields["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**fields, "authorization": f"{_ALGORITHM} {credential}"}
