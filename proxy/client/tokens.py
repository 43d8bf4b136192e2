"""Which bearer token a pipeline step has: its own, or the identity token that its platform gives it.

| where | how the token is found |
|---|---|
| anywhere | `HOLDGATE_TOKEN`, or `HOLDGATE_TOKEN_FILE` (read again on every attempt) |
| GitHub Actions | `ACTIONS_ID_TOKEN_REQUEST_URL` and `_TOKEN` (`permissions: id-token: write`) |
| GitLab CI | the variable `HOLDGATE_ID_TOKEN`, named under `id_tokens:` of the job |
| Kubernetes | a projected token at `/var/run/secrets/holdgate/token` |

Identity tokens are short-lived and a call may wait for long, so a token is got anew for every attempt.
Nothing here prints a token, and no message holds one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

KUBERNETES_TOKEN = "/var/run/secrets/holdgate/token"  # noqa: S105 - a path, as the documentation tells it

# Returns the body of a GET: (address, header fields) -> bytes. Raises TokenUnavailable when there is none.
Fetch = Callable[[str, Mapping[str, str]], bytes]


class TokenUnavailable(Exception):
    """No token can be had; the message says why, for the person who reads the job's log."""


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the token comes from, in words, and how to get it now."""

    origin: str
    get: Callable[[Fetch], str]


def token_source(environ: Mapping[str, str], *, audience: str, kubernetes: str = KUBERNETES_TOKEN) -> TokenSource:
    """Choose the source by what the environment offers, an explicit token first.

    `audience` is whom a platform's token is to be made for. Raises TokenUnavailable when nothing is offered.
    """
    if path := environ.get("HOLDGATE_TOKEN_FILE"):
        return TokenSource("HOLDGATE_TOKEN_FILE", partial(_from_file, path))
    if given := environ.get("HOLDGATE_TOKEN"):
        return TokenSource("HOLDGATE_TOKEN", partial(_given, given, "HOLDGATE_TOKEN"))
    if address := environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        secret = environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        return TokenSource("GitHub Actions", partial(_from_github, address, secret, audience))
    if given := environ.get("HOLDGATE_ID_TOKEN"):
        return TokenSource("GitLab CI", partial(_given, given, "HOLDGATE_ID_TOKEN"))
    if Path(kubernetes).exists():
        return TokenSource("Kubernetes", partial(_from_file, kubernetes))
    msg = (
        "There is no token. Set HOLDGATE_TOKEN or HOLDGATE_TOKEN_FILE; in GitHub Actions give the job "
        "`permissions: id-token: write`; in GitLab CI name HOLDGATE_ID_TOKEN under id_tokens; in Kubernetes "
        f"project a service account token to {kubernetes}."
    )
    raise TokenUnavailable(msg)


def _given(token: str, name: str, _fetch: Fetch) -> str:
    return _checked(token, name)


def _from_file(path: str, _fetch: Fetch) -> str:
    try:
        return _checked(Path(path).read_text(encoding="ascii").strip(), path)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The token file {path} cannot be read: {type(error).__name__}."
        raise TokenUnavailable(msg) from None


def _from_github(address: str, secret: str, audience: str, fetch: Fetch) -> str:
    """Ask the runner for an identity token, as GitHub documents it for OpenID Connect in Actions."""
    separator = "&" if "?" in address else "?"
    body = fetch(f"{address}{separator}audience={quote(audience, safe='')}", {"Authorization": f"Bearer {secret}"})
    try:
        value = json.loads(body)["value"]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, str):
        raise TokenUnavailable("GitHub answered without an identity token.")
    return _checked(value, "GitHub's identity token")


def _checked(token: str, name: str) -> str:
    # What is not one plain word would change the header that it is put into.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        msg = f"{name} is empty or not one word of plain characters."
        raise TokenUnavailable(msg)
    return token
