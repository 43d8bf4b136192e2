"""What every page and API answer goes through: our own hosts and origins only, static files, a strict CSP.

All of it works in both of Django's modes. A middleware that knows only the synchronous one would hold a
thread for as long as an asynchronous view below it waits.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

from approvals.origins import Own, host_allowed, origin_allowed

ANY_HOST = frozenset({"/healthz", "/readyz", "/metrics"})
# Identity providers have the browser post their answers here. No cookie of ours comes with that.
FROM_ELSEWHERE = re.compile(r"/sign-in/saml/[a-z0-9-]+/acs/")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

Layer = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # WhiteNoise has no types
    """WhiteNoise for both modes: answers from its list of files, and passes everything else on."""

    async_capable = True
    sync_capable = True
    _found: ClassVar[dict[str, Any]] = {}

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def add_files_from_finders(self) -> None:
        """Add what the finders find. They look once in a process, which may have a handler for either mode."""
        if not self._found:
            super().add_files_from_finders()
            self._found.update(self.files)
        self.files.update(self._found)

    def add_files(self, root: str, prefix: str | None = None) -> None:
        """Add a folder of files.

        STATIC_ROOT exists only where `collectstatic` was run; the finders do without.
        """
        if Path(root).is_dir():
            super().add_files(root, prefix=prefix)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self.get_response):
            return self._in_a_loop(request)
        return super().__call__(request)

    async def _in_a_loop(self, request: HttpRequest) -> HttpResponseBase:
        found = self.files.get(request.path_info)
        if found is None:
            response: HttpResponseBase = await self.get_response(request)
            return response
        return _whole(self.serve(found, request))


def _whole(response: HttpResponseBase) -> HttpResponseBase:
    """Read a small file at once: Django warns of a synchronous stream under ASGI, and is right to."""
    body = b"".join(response) if response.streaming else b""
    whole = HttpResponse(body, status=response.status_code, headers=dict(response.items()))
    response.close()
    return whole


@sync_and_async_middleware
def host_and_origin(get_response: Any) -> Layer:
    """Answer 421 to a Host that is not ours and 403 to pages of a foreign Origin."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            refused = _refusal(request)
            response: HttpResponseBase = refused if refused is not None else await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        refused = _refusal(request)
        response: HttpResponseBase = refused if refused is not None else get_response(request)
        return response

    return synchronous


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if request.path_info in ANY_HOST:
        return None
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    own = Own(settings.PUBLIC_URL, settings.EXTRA_HOSTS)
    if not host_allowed(host, own):
        return HttpResponse(render_to_string("421.html"), status=421)
    if FROM_ELSEWHERE.fullmatch(request.path_info):
        return None
    if origin is not None and not origin_allowed(origin, host, own):
        return HttpResponse(render_to_string("403.html"), status=403)
    return None


@sync_and_async_middleware
def security_headers(get_response: Any) -> Layer:
    """Send the content security policy with every answer, and forbid caching of what people may see."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _secured(await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _secured(get_response(request))

    return synchronous


def _secured(response: HttpResponseBase) -> HttpResponseBase:
    response.setdefault("Content-Security-Policy", POLICY)
    response.setdefault("Cache-Control", "no-store")
    return response
