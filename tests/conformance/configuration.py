"""The configuration of a gateway before the everything server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests import people
from tests.blocks import connection, one_dba, spelled_out

ENGINEERS = ({"groups": ["corp/engineering"]},)


def everything_config(issuer_url: str, upstream: str, *, access: Sequence[dict[str, Any]] = ENGINEERS) -> str:
    """Return a configuration with rules for tools that the conformance suite does not call, and masking.

    The connection `closed` lets the server ask nothing of callers, `brief` gives it a second for an answer, and who
    may use `leaving` is told by `access`.
    """
    silent = {
        "methods": ["sampling/createMessage", "elicitation/create"],
        "arguments": [{"path": "**", "matches": "secret plan"}],
    }
    made = [
        {"name": "ask", "action": "hold", "match": {"tools": ["delete_*"]}, "approval": one_dba()},
        {"name": "never", "action": "deny", "match": {"tools": ["drop_*"]}},
        {"name": "keep-silent", "action": "deny", "match": silent},
    ]
    asks = ["sampling", "elicitation", "roots"]
    connected = {
        "everything": connection(upstream, server_requests=asks),
        "closed": connection(upstream),
        "leaving": connection(upstream, access=list(access)),
        "brief": connection(upstream, server_requests=asks, timeout="1s"),
    }
    masking = [
        {"name": "people", "detectors": ["email", "phone", "us_ssn", "iban"], "replace": "label"},
        {"name": "secrets", "detectors": ["api_key", "private_key", "password_assignment", "bearer_token"]},
        {"name": "cards", "detectors": ["credit_card"], "replace": "partial"},
        {"name": "columns", "fields": ["**.salary"], "replace": "remove"},
    ]
    return people.config_yaml(issuer_url, "", **spelled_out(connections=connected, rules=made, masking=masking))
