"""Rules over claims of the caller's token: only those that a rule names are brought along."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.config.loader import ConfigError, load
from approvals.policy import Call, Policy
from proxy.claims import caller_of
from proxy.tokens import SignedClaims

TEXT = """
version: 1
issuers: [{name: ci, issuer: "https://ci", kind: {default: ci}, groups: {all: {sub: "*"}}}]
connections:
  c: {url: "http://c", access: [{groups: [ci/all]}], default: allow}
rules:
  - {name: r, action: deny, match: {callers: {claims: %s}}}
"""


def speaks(asked: str, **claims: Any) -> bool:
    config = load(TEXT % asked)
    caller = caller_of(SignedClaims({"sub": "x", "secret": "hidden", **claims}), config.issuers[0], config)
    assert "hidden" not in repr(caller)
    return Policy.compile(config).judge(Call(caller=caller, connection="c", method="tools/call", name="t")).rules != ()


@pytest.mark.parametrize(
    ("asked", "claims", "fits"),
    [
        ("{repository: acme/*}", {"repository": "acme/shop"}, True),
        ("{repository: acme/*}", {"repository": "ACME/Shop"}, True),
        ("{repository: acme/*}", {"repository": "other/shop"}, False),
        ("{repository: acme/*}", {}, False),
        (
            "{repository: acme/*, ref: [refs/heads/main, refs/tags/*]}",
            {"repository": "acme/a", "ref": "refs/tags/1"},
            True,
        ),
        ("{repository: acme/*, ref: refs/heads/main}", {"repository": "acme/a", "ref": "refs/heads/x"}, False),
        ("{amr: [mfa]}", {"amr": ["pwd", "mfa"]}, True),
        ("{kubernetes.io.namespace: prod}", {"kubernetes.io": {"namespace": "prod"}}, True),
        ("{protected: true}", {"protected": True}, True),
        ("{protected: '*'}", {"protected": {"a": 1}}, False),
    ],
)
def test_a_rule_speaks_of_callers_with_these_claims(asked: str, claims: dict[str, Any], fits: bool) -> None:
    assert speaks(asked, **claims) is fits


def test_no_claims_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        load(TEXT % "{}")
