"""How the gateway gets tokens for a server from that server's authorization server (OAuth 2.0)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from approvals.config.reaching import File, reachable
from approvals.config.values import Line, Lines, Reference, Strict, distinct, problem

NO_RESOURCE = "none"
_USUAL_KIND: Final = "access_token"
FOR_CALLERS = frozenset({"authorization_code", "token_exchange"})
# Where a refresh token is shown, a client need not have a secret.
PUBLIC_CLIENTS = frozenset({"refresh_token", "authorization_code"})


def _secure(value: str) -> str:
    parts = urlsplit(reachable(value))
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise problem("must begin with https://, for secrets are sent there")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise problem("must be printable ASCII")
    return value


def _scope(value: str) -> str:
    if not value.isascii() or not value.isprintable() or any(character in value for character in ' "\\'):
        raise problem("must be one scope, without spaces and quotes")
    return value


Endpoint = Annotated[Line, AfterValidator(_secure)]
Scopes = Annotated[tuple[Annotated[Line, AfterValidator(_scope)], ...], AfterValidator(distinct("scope"))]


class OAuth(Strict):
    """Where tokens come from, as whom the gateway asks for them, and for what.

    The endpoints are those of the metadata of `issuer` (RFC 8414), where they are not said. Nothing that a server
    itself says decides where secrets go.
    """

    grant: Literal["client_credentials", "refresh_token", "authorization_code", "token_exchange"]
    issuer: Endpoint | None = None
    token_endpoint: Endpoint | None = None
    authorization_endpoint: Endpoint | None = None
    client_id: Annotated[Line, AfterValidator(_client)]
    client_secret: Reference | None = None
    client_auth: Literal["basic", "post"] = "basic"
    private_key: File | None = None
    key_id: Line | None = None
    refresh_token: Reference | None = None
    subject_token_type: Literal["access_token", "id_token", "jwt"] = _USUAL_KIND
    scope: Scopes = ()
    audience: Lines = ()
    resource: Line | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer is None and self.token_endpoint is None:
            raise problem("is required, or token_endpoint", "issuer")
        if self.authorization_endpoint is not None and self.grant != "authorization_code":
            raise problem("belongs to grant authorization_code", "authorization_endpoint")
        if self.grant == "authorization_code" and self.issuer is None and self.authorization_endpoint is None:
            raise problem("is required, or issuer", "authorization_endpoint")
        self._client_is_whole()
        return self

    def _client_is_whole(self) -> None:
        if self.client_secret is not None and self.private_key is not None:
            raise problem("stands in place of client_secret, not beside it", "private_key")
        if self.client_secret is None and self.private_key is None and self.grant not in PUBLIC_CLIENTS:
            raise problem("is required, or private_key", "client_secret")
        if (self.refresh_token is None) == (self.grant == "refresh_token"):
            raise problem("belongs to grant refresh_token, which needs it", "refresh_token")
        if self.subject_token_type != _USUAL_KIND and self.grant != "token_exchange":
            raise problem("belongs to grant token_exchange", "subject_token_type")
        if self.key_id is not None and self.private_key is None:
            raise problem("needs private_key beside it", "key_id")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The references to its secrets."""
        return tuple(one for one in (self.client_secret, self.refresh_token) if one is not None)

    def resource_for(self, url: str) -> str | None:
        """Return for which resource tokens are asked (RFC 8707): the server's address where nothing else is said."""
        return None if self.resource == NO_RESOURCE else self.resource or url
