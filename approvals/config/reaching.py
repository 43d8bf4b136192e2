"""How a server over HTTP is reached: the networks in which it may be, TLS, and a proxy in between."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from approvals import addresses
from approvals.config.identity import web_address
from approvals.config.values import Line, Reference, Strict, problem


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise problem("must be a network such as 10.0.0.0/8, or one address") from None
    return value


def reachable(value: str) -> str:
    """Return an http(s) address, whose host may be dialled where it is no name; else raise."""
    host = urlsplit(web_address(value)).hostname or ""
    try:
        what = addresses.never(host)
    except ValueError:
        return value  # a name: what it stands for is looked at whenever it is dialled
    if what:
        raise problem(f"leads to an address that is never dialled ({what})")
    return value


def _origin(value: str) -> str:
    if urlsplit(value).path not in ("", "/") or urlsplit(value).query:
        raise problem("must be scheme, host and port alone, as in http://proxy.internal:3128")
    return value


def _file(value: str) -> str:
    if not value.startswith("file:/") or value.endswith("/"):
        raise problem("must name a file by its absolute path, as in file:/etc/holdgate/server.pem")
    return value


Networks = Annotated[tuple[Annotated[Line, AfterValidator(_network)], ...], Field(min_length=1)]
ServerAddress = Annotated[Line, AfterValidator(reachable)]
File = Annotated[Line, AfterValidator(_file)]


class Tls(Strict):
    """Whom the gateway trusts at the other end, and how it shows itself there. Files are PEM.

    `ca` alone is trusted then, not the system's authorities. `key` may stand in the file of `certificate`.
    """

    ca: File | None = None
    certificate: File | None = None
    key: File | None = None
    password: Reference | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"
    server_name: Line | None = None

    @model_validator(mode="after")
    def _key_of_a_certificate(self) -> Self:
        for name in ("key", "password"):
            if getattr(self, name) is not None and self.certificate is None:
                raise problem("needs certificate beside it", name)
        return self


class Proxy(Strict):
    """A proxy that is asked to connect to the server (CONNECT); it sees the server's name and encrypted bytes."""

    url: Annotated[ServerAddress, AfterValidator(_origin)]
    user: Line | None = None
    password: Reference | None = None

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            missing = "user" if self.user is None else "password"
            raise problem("is required beside the other of user and password", missing)
        if self.user is not None and (":" in self.user or not self.user.isascii()):
            raise problem("must be ASCII without a colon", "user")
        return self
