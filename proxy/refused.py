"""What is made of a server's 401 or 403: an error of our own, which says whose credential failed and what to do. Pure.

The server's own words, its challenge among them, are for the gateway and never for a caller: a client would take the
challenge for ours, and sign in where its token must not go.
"""

from __future__ import annotations

import re

from proxy.errors import CredentialUnavailable

UNAUTHORIZED = 401
_ERROR = re.compile(r'(?:^|[\s,])error="?(invalid_token|insufficient_scope)\b')


def refused(status: int, challenge: str, *, has_credential: bool, is_oauth: bool) -> CredentialUnavailable:
    """Return the fault for this status and `WWW-Authenticate` field of a server. Nothing was executed."""
    found = _ERROR.search(challenge)
    error = found.group(1) if found else ""
    begin = f"The upstream refused the gateway's credential for this connection with status {status}"
    if not has_credential:
        message = f"The upstream wants a credential (status {status}) and this connection has none"
        return _fault(f"{message}: an admin must give it one (`credential`).", status, "credential_missing")
    if error == "insufficient_scope":
        what = "an admin must widen `scope`" if is_oauth else "an admin must widen what it may do"
        return _fault(f"{begin}, for it may not do this: {what}.", status, "insufficient_scope")
    if status != UNAUTHORIZED:
        return _fault(f"{begin}: what it stands for may not do this there.", status, "credential_forbidden")
    what = "the client of its authorization server" if is_oauth else "the secret that `credential` names"
    return _fault(f"{begin}: an admin must look at {what}.", status, "credential_refused")


def _fault(message: str, status: int, detail: str) -> CredentialUnavailable:
    return CredentialUnavailable(message, status=status, detail=detail)
