"""Who calls the API: a bearer token of a configured issuer, as on the data path, or a person's browser
session.

Both leave the `Caller` in `request.auth`, which is all that the API looks at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from asgiref.sync import async_to_sync
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from approvals import known
from approvals.models import Person
from approvals.runtime import runtime
from approvals.standing import caller_of
from approvals.verdicts import Caller
from gatewayproj.wiring import identity
from proxy.protected_resource import challenge
from proxy.tokens import TokenRejected

if TYPE_CHECKING:
    from rest_framework.request import Request


@dataclass(frozen=True, slots=True)
class Bearer:
    """The user of a request that came with a token."""

    caller: Caller
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer …`, checked by the same identity as a call; not of people who were deactivated here.

    Expiry is judged on arrival.
    """

    def authenticate(self, request: Request) -> tuple[Bearer, Caller] | None:
        """Return user and caller; None without the header. Raises AuthenticationFailed."""
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        known.token_in_use.set(authorization.rpartition(" ")[2])
        policy = runtime().policies.reload().policy  # another process may have published it
        # A request that waits is rendered again later; its token counts as of its arrival.
        arrived = request.META.setdefault("holdgate.arrived", time.time())
        try:
            caller = async_to_sync(identity().authenticate)(authorization, connection=None, policy=policy, now=arrived)
        except TokenRejected as rejected:
            raise AuthenticationFailed(rejected.message, code="unauthenticated") from rejected
        if Person.objects.filter(iss=caller.iss, sub=caller.sub, is_active=False).exists():
            raise AuthenticationFailed("This account is switched off.", code="unauthenticated")
        return Bearer(caller), caller

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return challenge(runtime().public_url)


class BrowserAuthentication(SessionAuthentication):
    """The session of a signed-in person; what changes something needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Person, Caller] | None:
        """Return person and caller.

        None when nobody is signed in. Raises PermissionDenied without CSRF token.
        """
        found = super().authenticate(request)
        if found is None or not isinstance(found[0], Person):
            return None
        return found[0], caller_of(found[0], runtime().policies.current.policy)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # drf-spectacular's metaclass
    """How the schema calls it."""

    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the scheme object of OpenAPI 3."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # drf-spectacular's metaclass
    """How the schema calls it."""

    target_class = BrowserAuthentication
    name = "browser"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the scheme object of OpenAPI 3."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
