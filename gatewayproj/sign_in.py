"""Signing in and out: the page with the issuers, the demo's one-time links, and leaving."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from approvals.links import peek_sign_in_link, use_sign_in_link
from approvals.runtime import runtime
from gatewayproj.provider import login_issuers


@require_GET
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show a button for each issuer at which people sign in."""
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = ""
    if request.user.is_authenticated:
        return redirect(wanted or "inbox")
    issuers = [issuer.name for issuer in login_issuers(runtime().policies.current.policy.config)]
    return render(request, "sign_in.html", {"issuers": issuers, "next": wanted})


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
    login(request, person, backend="approvals.backends.PersonBackend")
    return redirect("inbox")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session in this browser."""
    logout(request)
    return redirect("sign-in")
