"""The ASGI application: the data path as a bare callable beside Django, under Channels' routers."""

from __future__ import annotations

import os

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

gateway = build_gateway()

application = Lifespan(
    ProtocolTypeRouter(
        {
            "http": URLRouter(
                [
                    path("mcp/<str:connection>", gateway),
                    re_path(r"^\.well-known/oauth-protected-resource", ProtectedResource()),
                    re_path(r"", pages),
                ]
            ),
            "websocket": AuthMiddlewareStack(URLRouter([path("ws/inbox/", InboxConsumer.as_asgi())])),
        }
    ),
    gateway,
)
