"""The ASGI application: the data path as a bare callable beside Django, under Channels' routers."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

# Django first: everything below imports models.
pages = get_asgi_application()

from approvals.consumers import InboxConsumer  # noqa: E402
from gatewayproj.lifespan import Lifespan  # noqa: E402
from gatewayproj.wiring import build_gateway  # noqa: E402
from proxy.metadata import ProtectedResource  # noqa: E402


def _any(application: Any) -> Any:
    """Channels routes ASGI applications through Django's `path`, whose types know only views."""
    return application


def _route(route: str, application: Any) -> Any:
    return path(route, _any(application))


async def _no_websocket(_scope: Any, receive: Any, send: Any) -> None:
    """Refuse a WebSocket at an address that has none (403)."""
    await receive()
    await send({"type": "websocket.close"})


gateway, agents = build_gateway()
inbox = AuthMiddlewareStack(
    URLRouter([_route("ws/inbox/", InboxConsumer.as_asgi()), re_path(r"", _any(_no_websocket))])
)

application = Lifespan(
    ProtocolTypeRouter(
        {
            "http": URLRouter(
                [
                    _route("mcp/<str:connection>", gateway),
                    _route(".well-known/oauth-protected-resource", ProtectedResource()),
                    _route(".well-known/oauth-protected-resource/<path:resource>", ProtectedResource()),
                    re_path(r"", _any(pages)),
                ]
            ),
            "websocket": URLRouter([_route("ws/agent/", agents), re_path(r"", _any(inbox))]),
        }
    ),
    gateway,
    agents,
)
