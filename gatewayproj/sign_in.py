"""Signing in and out: the page with the issuers, the demo's one-time links, and leaving."""

from __future__ import annotations

import contextlib
from typing import cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from approvals.deactivation import closing
from approvals.links import peek_sign_in_link, use_sign_in_link
from approvals.models import Person
from approvals.pages import unsent
from approvals.runtime import runtime
from approvals.selectors import visible_to
from approvals.standing import caller_of
from gatewayproj import entering, oidc, saml_views
from gatewayproj.arrival import doors
from gatewayproj.browser_sessions import AtProvider, provider_of
from sessions.journal import RecordUnavailable


@require_GET
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show a button for each issuer at which people sign in."""
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = ""
    if request.user.is_authenticated:
        return redirect(wanted or "inbox")
    return render(request, "sign_in.html", {"doors": doors(), "next": wanted})


def admin_login(request: HttpRequest) -> HttpResponse:
    """Send those who may not enter the admin to sign in, or say no to whom signing in again would not help."""
    if request.user.is_authenticated:
        return render(request, "403.html", status=403)
    return redirect_to_login(request.GET.get("next", "/admin/"))


@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a link of the demo.

    Only the button uses the link up: programs that preview links press no buttons.
    """
    if not settings.DEMO:
        raise Http404
    if request.method != "POST":
        return render(request, "sign_in_link.html", {"person": peek_sign_in_link(token)})
    person = use_sign_in_link(token)
    if person is None or not person.is_active:
        return render(request, "sign_in_link.html", {"person": None}, status=403)
    try:
        entering.signed_in(person, "link")
    except RecordUnavailable:
        return render(request, "503.html", status=503)
    login(request, person, backend="approvals.backends.PersonBackend")
    return redirect("inbox")


@require_POST
@login_required
def again(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Send somebody who is deciding a request to sign in afresh; the comment that they were writing is kept."""
    policies, person = runtime().policies, cast("Person", request.user)
    policy = policies.current.policy
    row = visible_to(caller_of(person, policy), policy).filter(pk=approval_id).first()
    if row is None:
        raise Http404
    unsent.keep(request.session, row.pk, row.connection, request.POST.get("comment", ""), policies.current)
    where = provider_of(request.session)
    door = doors().get(where.issuer, "") if where else ""
    query = urlencode({"fresh": "1", "next": reverse("approval", args=[row.pk])})
    address = f"{door}?{query}" if door else ""
    return onward(request, "sign_in_again.html", address, approval=row.pk, issuer=where.issuer if where else "")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session in this browser, and then the one at the provider where that is possible.

    A page in between: our policy lets no form lead to another site, not even by a redirect.
    """
    person, where = request.user, provider_of(request.session)
    address = _farewell(request, where) if where else ""
    logout(request)
    if isinstance(person, Person):
        with contextlib.suppress(RecordUnavailable):  # nobody is kept from leaving
            entering.signed_out(person)
        closing(runtime(), person)
    return onward(request, "signed_out.html", address) if address else redirect("sign-in")


def _farewell(request: HttpRequest, where: AtProvider) -> str:
    """Return where the browser goes to be signed out at the provider; empty when there is no such place."""
    issuers = runtime().policies.current.policy.config.issuers
    issuer = next((known for known in issuers if known.name == where.issuer), None)
    if issuer is None:
        return ""
    if issuer.saml:
        return saml_views.end_session_address(issuer, where, request)
    return oidc.end_session_address(issuer, where, request)


def onward(request: HttpRequest, template: str, address: str, **context: str) -> HttpResponse:
    """Show a page that goes on to another address, if there is one: by itself, and by its button where it does not."""
    page = render(request, template, {"onward": address, **context})
    if address:
        page.headers["Refresh"] = f"0; url={address}"
    return page
