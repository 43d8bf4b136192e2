"""Accounts that an issuer says are a person's too: `account_claims`."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.config.identity import Issuer
from proxy.claims import accounts_of
from proxy.tokens import SignedClaims

GITHUB = "https://token.actions.githubusercontent.com"
CORP = Issuer.model_validate(
    {
        "name": "corp",
        "issuer": "https://id.example.com",
        "login": True,
        "account_claims": {"slack.uid": "slack:T0ACME/*", "grid": "slack:*", "github_id": f"{GITHUB}|*"},
    }
)

SAID: list[tuple[dict[str, Any], set[str]]] = [
    ({"github_id": "4711"}, {f"{GITHUB}|4711"}),
    ({"github_id": 4711}, {f"{GITHUB}|4711"}),
    ({"github_id": ["1", 2]}, {f"{GITHUB}|1", f"{GITHUB}|2"}),
    ({"slack": {"uid": "U0ALICE"}}, {"slack:T0ACME/U0ALICE"}),
    ({"grid": "E0GRID/U0ALICE"}, {"slack:E0GRID/U0ALICE"}),
    ({"grid": "U0ALICE"}, set()),
    ({"slack": {"uid": "U0/U1"}}, set()),
    ({"slack": {"uid": "U0\n"}}, set()),
    ({"github_id": ""}, set()),
    ({"github_id": True}, set()),
    ({"github_id": None}, set()),
    ({"github_id": {"id": 1}}, set()),
    ({"github_id": [["1"], None, 1.5]}, set()),
    ({"github_id": "x" * 2000}, set()),
    ({}, set()),
]


@pytest.mark.parametrize(("claims", "accounts"), SAID)
def test_a_claim_is_an_account_when_it_makes_one(claims: dict[str, Any], accounts: set[str]) -> None:
    assert accounts_of(SignedClaims({"sub": "alice", **claims}), CORP).keys() == accounts
