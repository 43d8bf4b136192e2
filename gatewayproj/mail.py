"""From one HOLDGATE_EMAIL_URL to Django's settings of the mail server. What leaves this machine is encrypted."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from approvals.origins import LOOPBACK

# For each step of a dozen, which together stay below the lease of a message.
SECONDS: Final = 5
_PORTS: Final = {"smtp": 587, "smtps": 465}


def parse(url: str, password: str = "") -> dict[str, Any]:
    """Return Django's EMAIL_* settings from `smtp://user@host:587` or `smtps://user@host:465`; no host for no URL.

    `smtp` begins in the clear and goes on by STARTTLS, always, but for a server on this machine; `smtps` is TLS from
    the first byte. `password` takes the place of one in the URL. Raises ImproperlyConfigured; the message never
    repeats the URL.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        scheme, host, port, parts = "?", "", None, urlsplit("")
    if url and (scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment):
        msg = "HOLDGATE_EMAIL_URL must be smtp://user@host:port or smtps://user@host:port"
        raise ImproperlyConfigured(msg)
    return {
        "EMAIL_HOST": host,
        "EMAIL_PORT": port or _PORTS.get(scheme, 0),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": password or unquote(parts.password or ""),
        "EMAIL_USE_TLS": scheme == "smtp" and host not in LOOPBACK,
        "EMAIL_USE_SSL": scheme == "smtps",
        "EMAIL_TIMEOUT": SECONDS,
    }
