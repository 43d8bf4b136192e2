"""What is made of a server's 401 or 403: an error of our own, which says whose credential failed and what to do. Pure.

The server's own words, its challenge among them, are for the gateway and never for a caller: a client would take the
challenge for ours, and sign in where its token must not go.
"""

from __future__ import annotations

import re
from typing import Literal

from proxy.errors import CredentialUnavailable

UNAUTHORIZED = 401
Whose = Literal["secret", "client", "account", "exchanged"]
_WHOSE = {
    "secret": "the gateway's credential for this connection",
    "client": "the gateway's token for this connection",
    "account": "the token of your account there",
    "exchanged": "the token that the authorization server gave for you",
}
_WIDEN = {
    "secret": "an admin must widen what it may do",
    "client": "an admin must widen `scope`",
    "account": "an admin must widen `scope`, and you then connect your account anew",
    "exchanged": "an admin must widen `scope`, or what you may do there",
}
_RENEW = {
    "secret": "an admin must look at the secret that `credential` names",
    "client": "an admin must look at the client at its authorization server",
    "account": "connect your account anew",
    "exchanged": "an admin must look at the exchange (`credential.oauth`)",
}
_ERROR = re.compile(r'(?:^|[\s,])error="?(invalid_token|insufficient_scope)\b')


def refused(status: int, challenge: str, whose: Whose | None) -> CredentialUnavailable:
    """Return the fault for this status and `WWW-Authenticate` field of a server. Nothing was executed.

    `whose` says of what kind the credential was; None where there was none.
    """
    found = _ERROR.search(challenge)
    error = found.group(1) if found else ""
    if whose is None:
        message = f"The upstream wants a credential (status {status}) and this connection has none"
        return _fault(f"{message}: an admin must give it one (`credential`).", status, "credential_missing")
    begin = f"The upstream refused {_WHOSE[whose]} with status {status}"
    if error == "insufficient_scope":
        return _fault(f"{begin}, for it may not do this: {_WIDEN[whose]}.", status, "insufficient_scope")
    if status != UNAUTHORIZED:
        return _fault(f"{begin}: what it stands for may not do this there.", status, "credential_forbidden")
    return _fault(f"{begin}: {_RENEW[whose]}.", status, "credential_refused")


def _fault(message: str, status: int, detail: str) -> CredentialUnavailable:
    return CredentialUnavailable(message, status=status, detail=detail)
