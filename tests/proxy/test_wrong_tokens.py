"""Which tokens are refused, and that sound ones are accepted however they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.identity import TokenRejected
from proxy.tokens import authorization_of
from tests import signing
from tests.identity_desk import NOW, PUBLIC, Desk
from tests.people import CONNECTION
from tests.signing import key

STRANGER = key("RS256", "of-somebody-else")


@pytest.fixture
def desk() -> Desk:
    return Desk()


WRONG: dict[str, Callable[[Desk], str]] = {
    "alg none": lambda desk: signing.unsigned(desk.corp.claims("alice", now=NOW)),
    "alg none, odd case": lambda desk: signing.unsigned(desk.corp.claims("alice", now=NOW), algorithm="nOnE"),
    "alg none with a signature": lambda desk: signing.unsigned(desk.corp.claims("alice", now=NOW), signature="AAAA"),
    "HS256 with the public key": lambda desk: signing.signed_with_public_key(
        desk.corp.claims("alice", now=NOW), desk.corp.key()
    ),
    "alg that is not configured": lambda desk: desk.token(by=key("PS256", "one"), header={"kid": desk.corp.key().kid}),
    "alg of another key": lambda desk: desk.token(header={"alg": "ES256"}),
    "kid of another key": lambda desk: desk.token(header={"kid": desk.corp.key("EdDSA").kid}),
    "alg missing": lambda desk: desk.token(header={"alg": None}),
    "alg a list": lambda desk: desk.token(header={"alg": ["RS256"]}),
    "alg in small letters": lambda desk: desk.token(header={"alg": "rs256"}),
    "kid unknown": lambda desk: desk.token(header={"kid": "unknown"}),
    "kid a path": lambda desk: desk.token(header={"kid": "../../dev/null"}),
    "kid a number": lambda desk: desk.token(header={"kid": 7}),
    "kid a list": lambda desk: desk.token(header={"kid": ["a"]}),
    "kid an object": lambda desk: desk.token(header={"kid": {"a": 1}}),
    "own key brought along": lambda desk: desk.token(
        by=STRANGER, header={"jwk": STRANGER.jwk, "kid": desk.corp.key().kid}
    ),
    "own key set named": lambda desk: desk.token(
        by=STRANGER, header={"jku": "https://evil.example.com/jwks", "x5u": "https://evil.example.com/x"}
    ),
    "key of another issuer": lambda desk: desk.token(by=desk.corp.github.key()),
    "key of another issuer, our kid": lambda desk: desk.token(
        by=desk.corp.github.key(), header={"kid": desk.corp.key().kid}
    ),
    "crit unknown": lambda desk: desk.token(header={"crit": ["exp"]}),
    "crit empty": lambda desk: desk.token(header={"crit": []}),
    "crit a text": lambda desk: desk.token(header={"crit": "exp"}),
    "crit b64": lambda desk: desk.token(header={"crit": ["b64"], "b64": True}),
    "b64 false": lambda desk: desk.token(header={"b64": False}),
    "typ of a logout token": lambda desk: desk.token(header={"typ": "logout+jwt"}),
    "typ of a proof": lambda desk: desk.token(header={"typ": "dpop+jwt"}),
    "typ a number": lambda desk: desk.token(header={"typ": 1}),
    "iss unknown": lambda desk: desk.token(iss="https://evil.example.com"),
    "iss with a slash": lambda desk: desk.token(iss="https://id.example.com/"),
    "iss in capitals": lambda desk: desk.token(iss="https://ID.example.com"),
    "iss missing": lambda desk: desk.token(drop=("iss",)),
    "iss a list": lambda desk: desk.token(iss=["https://id.example.com"]),
    "iss of the CI issuer": lambda desk: desk.token(iss=desk.corp.github.url),
    "aud another": lambda desk: desk.token(aud="billing"),
    "aud in capitals": lambda desk: desk.token(aud="Holdgate"),
    "aud of another connection": lambda desk: desk.token(aud=f"{PUBLIC}/mcp/other"),
    "aud of the gateway": lambda desk: desk.token(aud=PUBLIC),
    "aud missing": lambda desk: desk.token(drop=("aud",)),
    "aud an object": lambda desk: desk.token(aud={"holdgate": True}),
    "aud an empty list": lambda desk: desk.token(aud=[]),
    "aud a list with a number": lambda desk: desk.token(aud=["holdgate", 7]),
    "aud a nested list": lambda desk: desk.token(aud=[["holdgate"]]),
    "aud null": lambda desk: desk.token(aud=None),
    "exp past": lambda desk: desk.token(now=NOW - 1000, lifetime=900),
    "exp just past the leeway": lambda desk: desk.token(now=NOW - 1000, exp=NOW - 60),
    "exp missing": lambda desk: desk.token(drop=("exp",)),
    "exp a text": lambda desk: desk.token(exp="9999999999"),
    "exp true": lambda desk: desk.token(exp=True),
    "exp null": lambda desk: desk.token(exp=None),
    "exp infinite": lambda desk: desk.token(exp=float("inf")),
    "exp not a number": lambda desk: desk.token(exp=float("nan")),
    "nbf future": lambda desk: desk.token(nbf=NOW + 61),
    "nbf a text": lambda desk: desk.token(nbf="0"),
    "nbf null": lambda desk: desk.token(nbf=None),
    "iat future": lambda desk: desk.token(iat=NOW + 61),
    "iat missing": lambda desk: desk.token(drop=("iat",)),
    "iat a list": lambda desk: desk.token(iat=[NOW]),
    "sub missing": lambda desk: desk.token(drop=("sub",)),
    "sub empty": lambda desk: desk.token(""),
    "sub a number": lambda desk: desk.token(7),
    "sub a list": lambda desk: desk.token(["alice"]),
    "sub with a line break": lambda desk: desk.token("alice\nroot"),
    "sub with a zero": lambda desk: desk.token("alice\x00"),
    "sub with an invisible mark": lambda desk: desk.token("alice\u200b"),
    "sub with half a surrogate pair": lambda desk: desk.token("alice\ud800"),
    "sub with blanks around": lambda desk: desk.token(" alice"),
    "sub too long": lambda desk: desk.token("a" * 501),
    "groups an object": lambda desk: desk.token(groups={"dba": True}),
    "groups a number": lambda desk: desk.token(groups=7),
    "groups with a number": lambda desk: desk.token(groups=["dba", 7]),
    "groups with a zero": lambda desk: desk.token(groups=["dba\x00"]),
    "groups elsewhere": lambda desk: desk.token(_claim_names={"groups": "src1"}),
    "claims a list": lambda desk: signing.signed(
        {"alg": "RS256", "kid": desk.corp.key().kid}, [desk.corp.claims("alice")], desk.corp.key()
    ),
    "claims deeply nested": lambda desk: signing.signed(
        {"alg": "RS256", "kid": desk.corp.key().kid},
        _deeply_nested(desk.corp.claims("alice", now=NOW)),
        desk.corp.key(),
    ),
    "altered claims": lambda desk: signing.altered(desk.token(), sub="root"),
    "altered signature": lambda desk: signing.with_broken_signature(desk.token()),
    "signature cut off": lambda desk: desk.token().rpartition(".")[0] + ".",
    "signature shortened": lambda desk: desk.token()[:-8],
    "signature of another token": lambda desk: (
        desk.token().rpartition(".")[0] + "." + desk.token("bob").rpartition(".")[2]
    ),
    "signature in another spelling": lambda desk: _respelled(desk.token(algorithm="ES256")),
    "signature with padding": lambda desk: desk.token() + "==",
    "EdDSA signature of a wrong length": lambda desk: desk.token(algorithm="EdDSA")[:-8],
    "ES256 signature all zero": lambda desk: desk.token(algorithm="ES256").rpartition(".")[0] + "." + "A" * 86,
    "two parts": lambda desk: "a.b",
    "five parts, as an encrypted token": lambda desk: "a.b.c.d.e",
    "garbage": lambda desk: "garbage",
    "garbage parts": lambda desk: "AAAA.AAAA.AAAA",
    "not base64": lambda desk: "a.b.c",
    "oversized": lambda desk: desk.token(padding="x" * 8192),
    "huge": lambda desk: "a" * 1_000_000,
}


def _respelled(token: str) -> str:
    """Change bits of the last character that base64url throws away."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def _deeply_nested(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims).encode()[:-1] + b',"x":' + b"[" * 1500 + b"]" * 1500 + b"}"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_refused(desk: Desk, name: str) -> None:
    token = WRONG[name](desk)
    rejected = desk.rejection(token)
    assert rejected.reason == "unauthenticated"
    assert rejected.error in {"invalid_token", "invalid_request"}
    for text in (rejected.message, rejected.detail, str(rejected)):
        assert token not in text
        assert len(text) < 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6c2VjcmV0",
        "DPoP {token}",
        "{token}",
        "Bearer {token} {token}",
        "Bearer {token},Bearer {token}",
        "Bearer {token}, {token}",
        "Bearer {token}\x00",
        "Bearer\t{token}",
        " Bearer {token}",
        "Bearer Bearer {token}",
        "Bearer {token}\r\nX-Other: 1",
        "Bearer \u00e9{token}",
        "Bearer {token}\ud800",
    ],
)
def test_a_header_of_another_form_is_refused(desk: Desk, authorization: str) -> None:
    with pytest.raises(TokenRejected):
        desk.admit(authorization.format(token=desk.token()))


def test_no_header_is_no_credentials(desk: Desk) -> None:
    with pytest.raises(TokenRejected) as caught:
        desk.admit(None)
    assert caught.value.error is None


def test_two_authorization_headers_are_refused() -> None:
    one = [(b"host", b"gw"), (b"authorization", b"Bearer a")]
    assert authorization_of(one) == "Bearer a"
    assert authorization_of([]) is None
    with pytest.raises(TokenRejected):
        authorization_of([*one, (b"Authorization", b"Bearer a")])


def test_every_way_of_writing_a_sound_token_is_accepted(desk: Desk) -> None:
    for token in (
        desk.token(),
        desk.token(algorithm="ES256"),
        desk.token(algorithm="EdDSA"),
        desk.token(header={"typ": None}),
        desk.token(header={"typ": "at+jwt"}),
        desk.token(header={"typ": "application/AT+JWT"}),
        desk.token(header={"x5t": "abc", "jku": "https://evil.example.com/jwks"}),
        desk.token(aud=["billing", "holdgate"]),
        desk.token(aud=f"{PUBLIC}/mcp/{CONNECTION}"),
        desk.token(iat=NOW - 0.5, exp=NOW + 0.5),
        desk.token(drop=("nbf", "jti")),
    ):
        assert desk.admit(f"Bearer {token}").sub == "alice"
        assert desk.admit(f"bearer   {token} ").sub == "alice"


def test_a_minute_of_leeway_is_given_each_way(desk: Desk) -> None:
    assert desk.admit(f"Bearer {desk.token(exp=NOW - 59)}").sub == "alice"
    assert desk.admit(f"Bearer {desk.token(iat=NOW + 60, nbf=NOW + 60)}").sub == "alice"


def test_a_strict_audience_refuses_a_token_meant_for_others_too(desk: Desk) -> None:
    desk.change_issuer(strict_audience=True)
    ours = ["holdgate", f"{PUBLIC}/mcp/{CONNECTION}"]
    assert desk.admit(f"Bearer {desk.token(aud=ours)}").sub == "alice"
    assert desk.rejection(desk.token(aud=["holdgate", "billing"])).error == "invalid_token"


def test_a_token_for_one_connection_does_not_open_another_even_when_remembered(desk: Desk) -> None:
    authorization = f"Bearer {desk.token(aud=f'{PUBLIC}/mcp/{CONNECTION}')}"
    assert desk.admit(authorization).sub == "alice"
    for other in ("warehouse", None):
        with pytest.raises(TokenRejected):
            desk.admit(authorization, other)
    assert desk.admit(f"Bearer {desk.token()}", None).sub == "alice"


def test_a_symmetric_algorithm_cannot_even_be_configured_into_use(desk: Desk) -> None:
    desk.change_issuer(algorithms=("HS256", "none", "RS256"))
    forged = signing.signed_with_public_key(desk.corp.claims("alice", now=NOW), desk.corp.key())
    desk.rejection(forged)
    desk.rejection(signing.unsigned(desk.corp.claims("alice", now=NOW), signature="AAAA"))


def test_an_unknown_issuer_is_never_asked(desk: Desk) -> None:
    desk.rejection(desk.corp.gitlab.token("alice", now=NOW))
    assert not desk.corp.gitlab.counts
