"""Somebody arrives from an identity provider, by whatever protocol: who they are here, and their new session."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import login
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from approvals.accounts import sync_claims
from approvals.models import Person
from approvals.runtime import runtime
from approvals.second_factor import SignIn
from gatewayproj import entering
from gatewayproj.browser_sessions import AtProvider, remember_provider
from gatewayproj.provider import SignInFailed, client_of
from proxy.claims import accounts_of, caller_of
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from approvals.config.schema import Issuer
    from proxy.tokens import SignedClaims

log = logging.getLogger(__name__)

FAILED = "The sign-in did not work. Please try again; if it keeps failing, the gateway's log says why."


def doors() -> dict[str, str]:
    """Return the names of the issuers at which people can sign in, each with where that begins."""
    issuers = runtime().policies.current.policy.config.issuers
    return {
        issuer.name: reverse("saml-start" if issuer.saml else "sign-in-with", args=[issuer.name])
        for issuer in issuers
        if issuer.saml or client_of(issuer)
    }


def absolute(request: HttpRequest, path: str) -> str:
    """Return one of our paths as an address that others may be given."""
    return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)


def failed(request: HttpRequest, status: int = 403) -> HttpResponse:
    """Show the page of a sign-in that did not work, with the buttons to try again."""
    return render(request, "sign_in.html", {"problem": FAILED, "doors": doors()}, status=status)


def refused(request: HttpRequest, issuer: str, why: Exception) -> HttpResponse:
    """Write down that somebody did not get in, and show the page that says no more than that."""
    log.warning("sign-in with %s: %s", issuer, getattr(why, "detail", why))
    with contextlib.suppress(RecordUnavailable):  # nobody got in: that much is certain
        entering.failed(issuer, why)
    return failed(request)


def arrived(claims: SignedClaims, issuer: Issuer) -> Person:
    """Return the person of these claims, brought up to date. Raises SignInFailed and TokenRejected."""
    caller = caller_of(claims, issuer, runtime().policies.current.policy.config)
    if caller.kind != "person":
        raise SignInFailed("the account belongs to an agent or a CI job")
    now = timezone.now()
    person = Person.objects.seen(
        iss=caller.iss,
        sub=caller.sub,
        email=caller.email or "",
        display=caller.display,
        issuer_groups=sorted(group for group in caller.groups if group.startswith(f"{issuer.name}/")),
        issuer_groups_at=now,
        last_seen_at=now,
    )
    if not person.is_active:
        raise SignInFailed("the account is deactivated")
    sync_claims(runtime(), person, accounts_of(claims, issuer))
    return person


def open_session(request: HttpRequest, person: Person, where: AtProvider, claims: SignedClaims) -> None:
    """Begin a session under a new key, also where the same person signed in before. Raises RecordUnavailable."""
    entering.signed_in(person, where.issuer)
    if request.user.is_authenticated:  # Django keeps the key of whoever signs in again
        request.session.cycle_key()
    login(request, person, backend="approvals.backends.PersonBackend")
    remember_provider(request.session, where)
    SignIn.of_claims(claims, now=time.time()).keep(request.session)
