"""Where the record goes as it grows: streams to a SIEM. A member of `channels`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals import addresses
from approvals.config.identity import WebAddress
from approvals.config.reaching import File
from approvals.config.values import Count, Flag, Line, Reference, Strict, one_or_more, problem
from approvals.origins import LOOPBACK

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")


def _file_name(value: str) -> str:
    if not _FILE.match(value):
        raise problem("must be the name of a file in the folder `streams` of the state folder, such as ocsf.jsonl")
    return value


def _host(value: str) -> str:
    if not _HOST.match(value):
        raise problem("must be the name or the address of a host")
    try:
        what = addresses.never(value)
    except ValueError:
        return value  # a name: what it stands for is looked at whenever it is dialled
    if what:
        raise problem(f"is an address that is never dialled ({what})")
    return value


def _encrypted(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise problem("must be https; plain http goes to this machine alone")
    return value


class Syslog(Strict):
    """A receiver of RFC 5424 messages over TLS (RFC 5425); plain TCP goes to this machine alone. Files are PEM."""

    host: Annotated[Line, AfterValidator(_host)]
    port: Count = 6514
    tls: Flag = True
    ca: File | None = None
    certificate: File | None = None
    key: File | None = None

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if self.port > 65535:
            raise problem("must be at most 65535", "port")
        if not self.tls and self.host not in LOOPBACK:
            raise problem("must be true; plain TCP goes to this machine alone", "tls")
        if self.key is not None and self.certificate is None:
            raise problem("needs certificate beside it", "key")
        return self


class SignedPost(Strict):
    """A receiver of signed batches. With two secrets each is signed with both, while they are exchanged."""

    url: Annotated[WebAddress, AfterValidator(_encrypted)]
    secret: Annotated[tuple[Reference, ...], BeforeValidator(one_or_more), Field(min_length=1, max_length=2)]


class Stream(Strict):
    """One stream: in which form, and to exactly one place."""

    format: Literal["ocsf", "cef"] = "ocsf"
    file: Annotated[Line, AfterValidator(_file_name)] | None = None
    syslog: Syslog | None = None
    webhook: SignedPost | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(getattr(self, name) is not None for name in ("file", "syslog", "webhook")) != 1:
            raise problem("needs exactly one of file, syslog, webhook")
        if self.webhook is not None and self.format != "ocsf":
            raise problem("webhooks carry ocsf", "format")
        return self
