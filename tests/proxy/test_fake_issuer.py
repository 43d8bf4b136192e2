"""The fake issuer is strict where a real one is, so that a sign-in that works with it is a sound one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest

from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.issuer_app import IssuerApp
from tests.people import ALICE, register_people

BACK = "https://gw.example.com/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # the example of RFC 7636, appendix B

ASKED = {
    "client_id": CLIENT_ID,
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid email",
    "state": "some-state",
    "nonce": "some-nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
REDEEMED = {
    "grant_type": "authorization_code",
    "redirect_uri": BACK,
    "code_verifier": VERIFIER,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}


@pytest.fixture
def issuer() -> FakeIssuer:
    made = FakeIssuer("https://id.example.com")
    register_people(made)
    made.login_as("alice", amr=["pwd", "otp"])
    return made


def browse(issuer: FakeIssuer, visit: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=IssuerApp([issuer]))
        async with httpx.AsyncClient(transport=transport, base_url=issuer.url) as client:
            return await visit(client)

    return asyncio.run(run())


def authorize(issuer: FakeIssuer, **changes: str) -> httpx.Response:
    return browse(issuer, lambda client: client.get("/authorize", params={**ASKED, **changes}))


def redeem(issuer: FakeIssuer, code: str, **changes: str) -> httpx.Response:
    return browse(issuer, lambda client: client.post("/token", data={**REDEEMED, "code": code, **changes}))


def code_of(response: httpx.Response) -> str:
    back = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert back["state"] == "some-state"
    return back["code"]


def test_a_sign_in_ends_with_an_identity_token_of_the_chosen_person(issuer: FakeIssuer) -> None:
    tokens = redeem(issuer, code_of(authorize(issuer))).json()
    key = issuer.key().private.public_key()
    claims = jwt.decode(tokens["id_token"], key, algorithms=["RS256"], audience=CLIENT_ID, issuer=issuer.url)
    assert (claims["sub"], claims["nonce"], claims["amr"]) == ("alice", "some-nonce", ["pwd", "otp"])
    header = {"authorization": f"Bearer {tokens['access_token']}"}
    known = browse(issuer, lambda client: client.get("/userinfo", headers=header)).json()
    assert known["email"] == ALICE.email


def test_a_code_is_good_for_one_try_with_the_right_verifier(issuer: FakeIssuer) -> None:
    code = code_of(authorize(issuer))
    assert redeem(issuer, code, code_verifier="another").status_code == 400
    assert redeem(issuer, code).status_code == 400
    assert redeem(issuer, code_of(authorize(issuer)), client_secret="wrong").status_code == 401
    assert redeem(issuer, code_of(authorize(issuer)), redirect_uri="https://evil.example.com").status_code == 400


@pytest.mark.parametrize(
    "changes",
    [{"code_challenge_method": "plain"}, {"code_challenge": ""}, {"client_id": "x"}, {"scope": "email"}],
)
def test_a_careless_question_is_refused(issuer: FakeIssuer, changes: dict[str, str]) -> None:
    assert authorize(issuer, **changes).status_code == 400


def test_nobody_at_the_browser_is_access_denied_and_signing_out_empties_the_seat(issuer: FakeIssuer) -> None:
    browse(issuer, lambda client: client.get("/logout", params={"post_logout_redirect_uri": BACK}))
    assert "error=access_denied" in authorize(issuer).headers["location"]


def test_over_real_http_each_issuer_answers_for_itself() -> None:
    with running_issuer() as corp:
        corp.gitlab.outage()
        for issuer, status in ((corp, 200), (corp.github, 200), (corp.gitlab, 503)):
            response = httpx.get(f"{issuer.url}/.well-known/openid-configuration", trust_env=False)
            assert response.status_code == status
            assert issuer.counts["/.well-known/openid-configuration"] == 1
        assert httpx.get(f"{corp.url}/nothing", trust_env=False).status_code == 404
