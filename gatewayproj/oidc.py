"""Browser sign-in: the code flow with PKCE, state and nonce, by mozilla-django-oidc, with our own checks in
it.

The library matches people by e-mail and does not check the audience; here a person is an issuer and a
subject, and the identity token is checked by the same functions as a caller's token. Callers never come this
way.
"""

from __future__ import annotations

import hmac
import logging
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from approvals.backends import PersonBackend
from approvals.models import Person
from approvals.runtime import runtime
from gatewayproj.arrival import absolute, arrived, failed, open_session, refused
from gatewayproj.browser_sessions import AtProvider
from gatewayproj.provider import (
    BY_HEADER,
    TAKES_CLAIMS,
    Client,
    Provider,
    SignInFailed,
    client_of,
    document,
    fetch,
    provider,
)
from proxy.tokens import (
    SignedClaims,
    TokenRejected,
    audiences_of,
    check_audience,
    check_claims,
    read_token,
    verify_signature,
)
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.config.schema import Issuer

log = logging.getLogger("holdgate.sign_in")

# An identity token with very many groups makes an address that providers and proxies refuse.
LONGEST_HINT = 4000


def _found(name: str) -> tuple[Provider, Client]:
    """Return the provider of the configured issuer of this name, and our client there.

    Else there is no such page.
    """
    config = runtime().policies.current.policy.config
    issuer = next((known for known in config.issuers if known.name == name), None)
    client = client_of(issuer) if issuer else None
    if issuer is None or client is None:
        raise Http404
    return provider(issuer), client


def _callback_address(request: HttpRequest, issuer: str) -> str:
    """Return our callback for one issuer.

    A path for each keeps an answer of one from being taken for another's.
    """
    return absolute(request, reverse("oidc_authentication_callback", kwargs={"issuer": issuer}))


class Start(OIDCAuthenticationRequestView):  # type: ignore[misc] # the library has no types
    """Send the browser to the issuer."""

    def __init__(self, **kwargs: Any) -> None:
        # The library reads its one provider from the settings here; ours is known only with the request.
        super(OIDCAuthenticationRequestView, self).__init__(**kwargs)

    def get(self, request: HttpRequest, issuer: str) -> HttpResponse:
        """Redirect with state, nonce and PKCE challenge; all three are kept in the session."""
        self.place, client = _found(issuer)
        self.OIDC_RP_CLIENT_ID = client.id
        self.callback = _callback_address(request, issuer)
        try:
            self.OIDC_OP_AUTH_ENDPOINT = self.place.endpoint("authorization_endpoint")
            return cast("HttpResponse", super().get(request))
        except SignInFailed as error:
            log.warning("sign-in with %s: %s", issuer, error)
            return failed(request, 503)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        """Return what replaces the library's own parameters, and what asks for a fresh sign-in with all factors."""
        if "fresh" not in request.GET:
            return {"redirect_uri": self.callback}
        wanted = " ".join(self.place.issuer.factors.ask)
        asked = {"acr_values": wanted} if wanted else {}
        if self.place.endpoint(TAKES_CLAIMS):
            asked["claims"] = '{"id_token": {"auth_time": {"essential": true}, "amr": null, "acr": null}}'
        return {"redirect_uri": self.callback, "prompt": "login", "max_age": "0", **asked}


class Callback(OIDCAuthenticationCallbackView):  # type: ignore[misc] # the library has no types
    """Take the issuer's answer: the library checks the state, `Backend` the token."""

    def get(self, request: HttpRequest, issuer: str) -> HttpResponse:
        """Sign the person in and go where they wanted to, or show that it did not work."""
        try:
            self._check_sender(request, issuer)
            if "error" in request.GET:  # the library would sign out whoever follows a link to here
                raise SignInFailed("the provider refused")
            return cast("HttpResponse", super().get(request))
        except (SuspiciousOperation, SignInFailed, TokenRejected) as error:
            return refused(request, issuer, error)
        except RecordUnavailable as error:
            log.warning("sign-in with %s: the record is not available: %s", issuer, error)
            return failed(request, 503)

    def _check_sender(self, request: HttpRequest, issuer: str) -> None:
        """An answer that names its sender (RFC 9207) must name the issuer that was asked."""
        place, _ = _found(issuer)
        unnamed = "" if place.names_itself else place.issuer.issuer
        if request.GET.get("iss", unnamed) != place.issuer.issuer:
            raise SignInFailed("the answer is of another issuer")

    def login_success(self) -> HttpResponse:
        """Begin a session under a new key, also where the same person signed in before."""
        wanted = self.success_url  # of the session that another person may have had here, and that ends now
        open_session(self.request, self.user, *self.request.arrival)
        return redirect(wanted)

    def login_failure(self) -> HttpResponse:
        why = SignInFailed("the issuer refused, or the session holds no state")
        return refused(self.request, self.kwargs["issuer"], why)


class Backend(PersonBackend, OIDCAuthenticationBackend):  # type: ignore[misc] # the library has no types
    """Exchanges the code, checks the identity token, and finds the person by issuer and subject."""

    def __init__(self) -> None:
        # Not the library's: it wants the endpoints of one provider in the settings.
        self.UserModel = Person

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> Person | None:
        """Return the person whom the answer in this request is about; None when this is no such request."""
        match = request.resolver_match if request is not None else None
        if request is None or match is None or match.url_name != "oidc_authentication_callback":
            return None
        name = match.kwargs["issuer"]
        self.provider, client = _found(name)
        self.callback = _callback_address(request, name)
        self.OIDC_RP_CLIENT_ID, self.OIDC_RP_CLIENT_SECRET = client.id, client.secret
        return super().authenticate(request, **kwargs)

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """Exchange the code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). Raises SignInFailed."""
        form, secret = {**payload, "redirect_uri": self.callback}, payload["client_secret"]
        headers = {}
        if not secret:  # a public client, which PKCE alone protects
            del form["client_secret"]
        elif self.provider.endpoint(BY_HEADER):
            del form["client_id"], form["client_secret"]
            pair = f"{quote(payload['client_id'], safe='')}:{quote(secret, safe='')}"  # RFC 6749 §2.3.1
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        found = document(fetch("POST", self.provider.endpoint("token_endpoint"), data=form, headers=headers))
        if not isinstance(found.get("id_token"), str):
            raise SignInFailed("the provider sent no identity token")
        return found

    def verify_token(self, token: str, **kwargs: Any) -> SignedClaims:
        """Check an identity token (OpenID Connect Core §3.1.3.7). Raises TokenRejected or SignInFailed."""
        issuer, client_id = self.provider.issuer, self.OIDC_RP_CLIENT_ID
        read = read_token(token)
        if read.algorithm not in issuer.algorithms:
            raise SignInFailed("the algorithm of the identity token is not configured")
        key = self.provider.key(read.kid, read.algorithm)
        claims = verify_signature(read, key.key, key.algorithms.intersection(issuer.algorithms))
        check_claims(claims, issuer=issuer.issuer, now=time.time())
        audiences = audiences_of(claims)
        check_audience(audiences, {client_id}, strict=False)
        if claims.get("azp", client_id) != client_id or (len(audiences) > 1 and "azp" not in claims):
            raise SignInFailed("the identity token was issued to another client")
        if not _same(claims.get("nonce"), kwargs.get("nonce")):
            raise SignInFailed("the nonce is not the one that was sent")
        return claims

    def get_or_create_user(self, access_token: str | None, id_token: str, payload: SignedClaims) -> Person:
        """Return the person of these claims, brought up to date."""
        issuer = self.provider.issuer
        person = arrived(self._completed(payload, access_token), issuer)
        cast("Any", self.request).arrival = AtProvider(issuer.name, id_token), payload
        return person

    def _completed(self, claims: SignedClaims, access_token: str | None) -> SignedClaims:
        """Add what only the userinfo endpoint says, if it speaks of the same subject (Core §5.3.2)."""
        address = self.provider.endpoint("userinfo_endpoint")
        issuer = self.provider.issuer
        wanted = {"email", issuer.groups_claim or "email", *issuer.account_claims}
        if not address or not access_token or wanted <= claims.keys():
            return claims
        more = document(fetch("GET", address, headers={"Authorization": f"Bearer {access_token}"}))
        if more.get("sub") != claims["sub"]:
            raise SignInFailed("userinfo is about somebody else")
        return SignedClaims({**more, **cast("Mapping[str, Any]", claims)})


def end_session_address(issuer: Issuer, where: AtProvider, request: HttpRequest) -> str:
    """Return where the browser goes to be signed out at the provider too (RP-Initiated Logout 1.0 §2).

    Empty when the provider has no such place, cannot be asked, or is not ours any more.
    """
    client = client_of(issuer)
    if client is None:
        return ""
    try:
        address = provider(issuer).endpoint("end_session_endpoint")
    except SignInFailed as error:
        log.warning("sign-out at %s: %s", where.issuer, error)
        return ""
    query = {"client_id": client.id, "post_logout_redirect_uri": absolute(request, reverse("sign-in"))}
    if len(where.hint) <= LONGEST_HINT:
        query["id_token_hint"] = where.hint
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}" if address else ""


def _same(given: object, expected: object) -> bool:
    both = isinstance(given, str) and isinstance(expected, str) and bool(expected)
    return both and hmac.compare_digest(str(given).encode(), str(expected).encode())
