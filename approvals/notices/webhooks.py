"""Signed events for programs, as the Standard Webhooks specification 1.0 has them (standardwebhooks.com).

Body: `{"type", "timestamp", "data"}`. Headers: `webhook-id`, the same at every attempt, so that a receiver knows a
repeated one; `webhook-timestamp`; `webhook-signature`, one HMAC-SHA256 for each secret in use.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from standardwebhooks.webhooks import Webhook

from approvals.notices.notice import arguments_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from approvals.notices.notice import Notice

PREFIX: Final = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
# Beyond it the arguments are left out and looked up by who wants them.
LARGEST_ARGUMENTS: Final = 64 * 1024


class SecretUnusable(Exception):
    """What the reference of a secret yields is none; the message names no part of it."""


def key_of(secret: str) -> Webhook:
    """Return what signs with this secret: `whsec_` and 24 to 64 bytes in Base64. Raises SecretUnusable."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        msg = f"the secret is not {PREFIX} and {SHORTEST_KEY} to {LONGEST_KEY} bytes in Base64"
        raise SecretUnusable(msg)
    return Webhook(key)


def body_of(notice: Notice, *, with_arguments: bool) -> bytes:
    """Return the JSON that is signed and sent; the same bytes for the same notice."""
    data: dict[str, Any] = {"url": notice.url, **notice.data}
    if notice.approval:
        data |= {
            "approval": notice.approval,
            "status": notice.status,
            "connection": notice.connection,
            "method": notice.method,
            "tool": notice.tool,
            "rule": notice.rule,
            "requester": notice.requester,
            "expires_at": notice.expires_at and notice.expires_at.isoformat(),
        }
    if notice.approval and with_arguments:
        fits = len(notice.arguments) <= LARGEST_ARGUMENTS
        data |= {"arguments": arguments_value(notice) if fits else None, "arguments_left_out": not fits}
    kind = f"approval.{notice.event}" if notice.approval else notice.event
    return orjson.dumps({"type": kind, "timestamp": notice.at.isoformat(), "data": data})


def headers_of(message: str, body: bytes, keys: Sequence[Webhook], now: datetime) -> Mapping[str, str]:
    """Return the signed headers of one attempt: a signature for each key, so that a receiver may hold either."""
    moment = now.astimezone(UTC).replace(microsecond=0)
    signatures = [key.sign(message, moment, body.decode()) for key in keys]
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
