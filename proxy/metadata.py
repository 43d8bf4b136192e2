"""The protected resource metadata (RFC 9728) as a bare ASGI callable: where a client gets a token for us."""

from __future__ import annotations

from typing import Any

import orjson

from approvals.runtime import runtime
from proxy.protected_resource import metadata


class ProtectedResource:
    """Answers GET on `/.well-known/oauth-protected-resource[/mcp/<connection>]`, for anybody."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        house = runtime()
        issuers = house.policies.current.policy.config.token_issuers
        document = metadata(scope["path"], public_url=house.public_url, issuers=issuers)
        allowed = scope["method"] in {"GET", "HEAD"}
        status = 405 if not allowed else 404 if document is None else 200
        body = orjson.dumps(document) if status == 200 else b""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            # Browser clients read it from other origins; it holds nothing that is not public.
            (b"access-control-allow-origin", b"*"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
