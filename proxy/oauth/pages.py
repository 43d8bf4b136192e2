"""The pages "My servers": which accounts of the viewer the gateway holds for servers, and how they come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_POST

from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.services import unrecorded
from proxy.errors import CredentialUnavailable
from proxy.models import TokenGrant
from proxy.oauth import connecting
from proxy.oauth.tokens import account_place
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from approvals.policy import Policy
    from approvals.verdicts import Caller

_KEPT = "connecting_server"


@dataclass(frozen=True, slots=True)
class Server:
    """One server at which the viewer has, or may connect, an account."""

    name: str
    connection: Connection
    grant: TokenGrant | None

    @property
    def status(self) -> str:
        """Whether calls travel with an account: `connected`, `ended` or `missing`."""
        if self.grant is None:
            return "missing"
        return "ended" if self.grant.ended else "connected"

    @property
    def host(self) -> str:
        """Where people sign in for it, as far as the configuration says."""
        oauth = self.connection.credential.oauth if self.connection.credential is not None else None
        said = (oauth.authorization_endpoint or oauth.issuer or "") if oauth is not None else ""
        return urlsplit(said).netloc


@require_GET
@login_required
def mine(request: HttpRequest) -> HttpResponse:
    """List the servers that want an account of the viewer's own."""
    answer = render(request, "proxy/servers.html", {"servers": servers_of(*viewer(request))})
    add_never_cache_headers(answer)
    return answer


@require_POST
@login_required
def connect(request: HttpRequest, connection: str) -> HttpResponse:
    """Show where the viewer is about to be sent, with the link that leads there."""
    server = _one(request, connection)
    account = viewer(request)[0].key
    try:
        address, kept = connecting.begin(connection, server.connection, account, _callback(request, connection))
    except CredentialUnavailable as fault:
        messages.warning(request, fault.message)
        return redirect("servers")
    request.session[_KEPT] = {**request.session.get(_KEPT, {}), connection: kept}
    shown: dict[str, Any] = {"server": server, "address": address, "host": urlsplit(address).netloc}
    answer = render(request, "proxy/server_connect.html", shown)
    add_never_cache_headers(answer)
    return answer


@require_GET
@login_required
def callback(request: HttpRequest, connection: str) -> HttpResponse:
    """Take what the authorization server answers, once."""
    server = _one(request, connection)
    every = dict(request.session.get(_KEPT, {}))
    kept = every.pop(connection, None)
    request.session[_KEPT] = every
    account = viewer(request)[0].key
    back = _callback(request, connection)
    try:
        connecting.finish(runtime(), connection, server.connection, account, back, kept, request.GET.dict())
    except connecting.ConnectingFailed as failed:
        messages.warning(request, str(failed))
    except CredentialUnavailable as fault:
        messages.warning(request, fault.message)
    except RecordUnavailable as error:
        messages.warning(request, unrecorded(error))
    else:
        messages.success(request, f"Your account is connected. Your calls to {connection} travel with it from now on.")
    return redirect("servers")


@require_POST
@login_required
def disconnect(request: HttpRequest, connection: str) -> HttpResponse:
    """Forget the viewer's account at a server."""
    server = _one(request, connection)
    try:
        gone = connecting.disconnect(runtime(), connection, server.connection, viewer(request)[0].key)
    except RecordUnavailable as error:
        messages.warning(request, unrecorded(error))
    else:
        said = "It is forgotten here. Access may also be taken back at the server." if gone else "There was none."
        messages.success(request, said)
    return redirect("servers")


def servers_of(caller: Caller, policy: Policy) -> list[Server]:
    """Return the servers that somebody may use and that want an account of theirs, by name."""
    usable = {
        name: connection
        for name, connection in sorted(policy.config.connections.items())
        if _wants_accounts(connection) and policy.tools_of(caller, name)
    }
    places = {name: account_place(name, connection, caller.key) for name, connection in usable.items()}
    grants = TokenGrant.objects.in_bulk(list(places.values()))
    return [Server(name, connection, grants.get(places[name])) for name, connection in usable.items()]


def _one(request: HttpRequest, name: str) -> Server:
    found = next((server for server in servers_of(*viewer(request)) if server.name == name), None)
    if found is None:
        raise Http404
    return found


def _wants_accounts(connection: Connection) -> bool:
    oauth = connection.credential.oauth if connection.credential is not None else None
    return oauth is not None and oauth.grant == "authorization_code"


def _callback(request: HttpRequest, connection: str) -> str:
    """Return our address for the answer. One for each connection: an answer for one is none for another."""
    path = reverse("server-callback", args=[connection])
    return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)
