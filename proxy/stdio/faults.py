"""Faults on their way from the runner to the gateway: a header field with reason, effect and sentence. Pure."""

from __future__ import annotations

import base64
from typing import get_args

from proxy.errors import (
    CredentialUnavailable,
    Fault,
    OutcomeUnknown,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from proxy.refusals import Executed

FIELD = "holdgate-fault"
_KINDS = {
    kind.reason: kind
    for kind in (CredentialUnavailable, OutcomeUnknown, UpstreamInvalid, UpstreamTimeout, UpstreamUnavailable)
}


def told(fault: Fault) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header field that tells this fault."""
    sentence = base64.b64encode(fault.message.encode()).decode()
    return ((FIELD.encode(), f"{fault.reason} {fault.executed} {sentence}".encode()),)


def heard(value: str) -> Fault:
    """Return the fault that a header field tells."""
    reason, _, rest = value.partition(" ")
    executed, _, sentence = rest.partition(" ")
    if reason not in _KINDS or executed not in get_args(Executed):
        return OutcomeUnknown("The runner of stdio servers failed.")
    return _KINDS[reason](base64.b64decode(sentence).decode(), executed=executed)  # type: ignore[arg-type]
