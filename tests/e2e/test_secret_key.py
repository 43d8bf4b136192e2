"""The secret key is exchanged under a gateway that is in use: nobody is signed out, nothing is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from tests import people
from tests.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import CLIENT_ID as LOGIN_ID
from tests.issuer import CLIENT_SECRET as LOGIN_SECRET
from tests.issuer import FakeIssuer
from tests.people import ALICE, CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("nothing-lost")

SEED = "canary-refresh-seed"
HASHED = [
    {"name": "people", "detectors": ["email"], "replace": "hash"},
    {"name": "numbers", "detectors": ["credit_card", "us_ssn"]},
]


@pytest.fixture
def desk() -> Iterator[AuthorizationServer]:
    """Where the gateway renews the token of one server; a refresh token is good once."""
    with authorization_server() as server:
        server.refresh[SEED] = "the gateway"
        yield server


@pytest.fixture
def own(issuer: FakeIssuer, desk: AuthorizationServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(running()) for name in (CONNECTION, "renewed")}
        upstreams["renewed"].admits = desk.admits
        oauth = {"client_id": CLIENT_ID, "client_secret": "env:CLIENT_SECRET", "token_endpoint": desk.token_endpoint}
        renewed = {"oauth": {**oauth, "grant": "refresh_token", "refresh_token": "env:SEED"}}
        blocks = {
            "connections": {
                CONNECTION: connection(upstreams[CONNECTION].url),
                "renewed": connection(upstreams["renewed"].url, credential=renewed),
            },
            "rules": [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())],
            "masking": HASHED,
        }
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        env = {"CLIENT_SECRET": CLIENT_SECRET, "SEED": SEED}
        env |= {"HOLDGATE_LOGIN_CORP_CLIENT_ID": LOGIN_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": LOGIN_SECRET}
        made = stack.enter_context(world(tmp_path_factory.mktemp("secret-key"), issuer, upstreams, text, **env))
        made.start()
        yield made
        made.gateway.stop()


def _step(own: World, *options: str) -> None:
    """Do one step of the exchange and restart, as its output says."""
    said = own.gateway.manage("rotate_secret_key", *options).stdout
    assert "restart every process" in said, said
    assert own.gateway.stop() == 0
    own.start()


def _inside(browser: httpx.Client) -> bool:
    return browser.get("/").url.path == "/"


def _hashed(own: World) -> str:
    """Return an answer in which addresses are hashed: the same address, the same hash."""
    answer = own.caller(DAVE).call("query", {"sql": "select email", "marker": "the-same"})
    assert "[email:" in answer.said
    return answer.said


def test_an_exchange_in_three_steps_loses_nothing(own: World, desk: AuthorizationServer) -> None:
    keys, mark = own.gateway.folder / "state" / "keys", marker()
    founding = (keys / "django.key").read_text()
    arguments = {"sql": "delete from x", "marker": mark}
    asked = own.caller(DAVE).call("query", arguments, prefer="wait=0").approval["id"]
    before = _hashed(own)
    assert not own.caller(DAVE, "renewed").call("echo", {"marker": marker()}).is_error

    with own.browser(ALICE) as browser:
        _step(own)
        assert (keys / "django.key").read_text() == founding, "nothing is exchanged before every process knows it"
        assert _inside(browser)
        _step(own, "--switch")
        assert _inside(browser), "what the old key signed is taken"
        assert own.caller(DAVE).begin("query", arguments).approval_id == asked
        _step(own, "--forget")
        assert _inside(browser)

    for what in ("the stored token", "a token by the stored refresh token"):
        assert not own.caller(DAVE, "renewed").call("echo", {"marker": marker()}).is_error, what
        desk.revoke()
    assert (desk.asked[0]["refresh_token"], len(desk.asked)) == ([SEED], 2)
    assert _hashed(own) == before
    held = own.caller(DAVE).begin("query", arguments)
    assert held.approval_id == asked
    own.approve(asked)
    assert not held.answer().is_error
    assert own.upstream.markers[mark] == 1
    actors = own.stored.rows("SELECT DISTINCT actor FROM mcp_sessions_recordedsession WHERE connection = ?", CONNECTION)
    assert len(actors) == 1, "Dave has one pseudonym before and after"
    assert [path.name for path in sorted(keys.glob("*.key"))] == ["django.key", "log.key", "names.key"]
    assert (keys / "names.key").read_text() == founding != (keys / "django.key").read_text()
    own.assert_history()


def test_each_step_has_its_place(own: World) -> None:
    early = own.gateway.manage("rotate_secret_key", "--forget", check=False)
    assert (early.returncode, "no exchange is under way" in early.stderr) == (1, True)
    own.gateway.manage("rotate_secret_key", "--switch")
    again = own.gateway.manage("rotate_secret_key", check=False)
    assert (again.returncode, "run --forget before the next one" in again.stderr) == (1, True)
