"""Signing in by SAML 2.0: to the identity provider, back by its posted answer, our metadata, and signing out.

The answer is posted by a page of another site, and our session cookie (SameSite=Lax) does not come with it. So the
first post only shows a page of ours that posts the same again; with that the cookie comes, and the answer is looked at.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from approvals import deactivation
from approvals.assertions import use_once
from approvals.models import Person
from approvals.runtime import runtime
from gatewayproj import saml
from gatewayproj.arrival import absolute, arrived, failed, open_session, refused
from gatewayproj.browser_sessions import AtProvider
from gatewayproj.provider import SignInFailed
from proxy.tokens import TokenRejected
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.schema import Issuer

log = logging.getLogger("holdgate.sign_in")

WAITING = "holdgate_saml"
MOST_WAITING = 5


def _found(name: str) -> Issuer:
    issuers = runtime().policies.current.policy.config.issuers
    issuer = next((known for known in issuers if known.name == name and known.saml), None)
    if issuer is None:
        raise Http404
    return issuer


def _place(issuer: Issuer, request: HttpRequest) -> saml.Place:
    names = ("saml-metadata", "saml-consumer", "saml-logout")
    return saml.Place(*(absolute(request, reverse(name, args=[issuer.name])) for name in names))


def _own_path(wanted: str) -> str:
    """Return where to go after the sign-in: one of our own paths, else the inbox."""
    is_ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if is_ours else reverse("inbox")


@require_GET
def start(request: HttpRequest, issuer: str) -> HttpResponse:
    """Send the browser to the identity provider; what it was sent with is kept in the session."""
    found = _found(issuer)
    try:
        asked, address = saml.begin(found, _place(found, request), fresh="fresh" in request.GET)
    except SignInFailed as error:
        log.warning("sign-in with %s: %s", issuer, error)
        return failed(request, 503)
    waiting = {**request.session.get(WAITING, {}), asked: [issuer, _own_path(request.GET.get("next", ""))]}
    request.session[WAITING] = dict(list(waiting.items())[-MOST_WAITING:])
    return redirect(address)


@csrf_exempt  # the signature and the session's own request ids stand in for the token
@require_POST
def consume(request: HttpRequest, issuer: str) -> HttpResponse:
    """Take the posted answer: once without looking at it, and then from our own page."""
    found = _found(issuer)
    response, state = request.POST.get("SAMLResponse", ""), request.POST.get("RelayState", "")
    if "here" not in request.POST:
        return render(request, "saml_onward.html", {"response": response, "state": state})
    waiting = request.session.get(WAITING, {})
    own = {asked: wanted for asked, (name, wanted) in waiting.items() if name == issuer}
    try:
        if not own and not (found.saml and found.saml.unsolicited):  # before anything costly is done
            raise SignInFailed("nobody in this browser asked for it")
        accepted = saml.accept(found, _place(found, request), response, own.keys())
        if not use_once(found.issuer, accepted.id, accepted.until):
            raise SignInFailed("the assertion was used before")
        person = arrived(accepted.claims, found)
    except (SignInFailed, TokenRejected) as error:
        return refused(request, issuer, error)
    except RecordUnavailable as error:
        log.warning("sign-in with %s: %s", issuer, error)
        return failed(request, 503)
    wanted = own.get(accepted.answers) or _own_path(state)
    request.session[WAITING] = {asked: kept for asked, kept in waiting.items() if asked != accepted.answers}
    try:
        open_session(request, person, AtProvider(issuer, accepted.farewell), accepted.claims)
    except RecordUnavailable as error:
        log.warning("sign-in with %s: %s", issuer, error)
        return failed(request, 503)
    return redirect(wanted)


@require_GET
def metadata(request: HttpRequest, issuer: str) -> HttpResponse:
    """Show who we are to the administrator of the identity provider, for anybody."""
    found = _found(issuer)
    try:
        body = saml.metadata(found, _place(found, request))
    except SignInFailed as error:
        log.warning("metadata for %s: %s", issuer, error)
        return failed(request, 503)
    return HttpResponse(body, content_type="application/samlmetadata+xml")


@require_GET
def logout(request: HttpRequest, issuer: str) -> HttpResponse:
    """Take the provider's answer after signing out here, or its request to end a person's sessions."""
    found = _found(issuer)
    if "SAMLRequest" not in request.GET:
        return redirect("sign-in")  # an answer; the session here ended before we asked
    try:
        name, address = saml.logged_out(found, _place(found, request), request.GET.dict())
        if found.saml is None or found.saml.subject is not None:
            raise SignInFailed("it names a NameID, and people are known by an attribute here")
        person = Person.objects.filter(iss=found.issuer, sub=name).first()
        if person is not None:
            deactivation.end_sessions(runtime(), person, by=found.issuer)
    except (SignInFailed, RecordUnavailable) as error:
        log.warning("sign-out by %s: %s", issuer, error)
        return failed(request, 503 if isinstance(error, RecordUnavailable) else 400)
    return redirect(address)


def end_session_address(issuer: Issuer, where: AtProvider, request: HttpRequest) -> str:
    """Return where the browser goes to be signed out at the provider too; empty when that is not possible."""
    try:
        return saml.end_session_address(issuer, _place(issuer, request), where.hint)
    except SignInFailed as error:
        log.warning("sign-out at %s: %s", issuer.name, error)
        return ""
