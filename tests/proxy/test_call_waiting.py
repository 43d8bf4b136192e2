"""How long `call` waits and when it gives up, on a clock that the test moves, and where its token is from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from proxy.client.attempt import Attempted
from proxy.client.calling import Calling, parse_wait
from proxy.client.outcomes import Answered, Lost, Outcome, Refused
from proxy.client.tokens import TokenUnavailable, token_source

PENDING = Refused(reason="pending", executed="false", message="waiting", approval="a7", retry_after=5.0)
STOPPING = Refused(reason="shutting_down", executed="false", message="stopping")
DOWN = Lost("cannot connect", sent=False)
CUT = Lost("the connection broke", sent=True)


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def calling(
    script: Sequence[Outcome], *, wait: float, token: Callable[[], str] = lambda: "t", each: float = 0.0
) -> tuple[Calling, Clock, list[Mapping[str, str]]]:
    """A call whose attempts go as the script says, the last entry for ever, and take `each` seconds."""
    clock, sent = Clock(), list[Mapping[str, str]]()
    left = list(script)

    def attempt(_: Mapping[str, str], knobs: Mapping[str, str]) -> Attempted:
        sent.append(knobs)
        clock.sleep(each)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        return Attempted(outcome, of_the_call=outcome is not DOWN)

    made = Calling(
        attempt=attempt,
        token=token,
        now=clock.now,
        sleep=clock.sleep,
        say=lambda _: None,
        key="k1",
        wait=wait,
    )
    return made, clock, sent


def test_a_gateway_that_never_answers_is_given_up_after_a_few_knocks() -> None:
    call, clock, sent = calling([DOWN], wait=1800)

    assert call.run() == (2, None)
    assert len(sent) == 4
    assert clock.time < 10


@pytest.mark.promise("nothing-lost")
def test_a_gateway_that_went_away_during_a_held_call_is_waited_for() -> None:
    call, clock, _ = calling([PENDING, STOPPING, *[DOWN] * 20, Answered("done")], wait=1800)

    assert call.run()[0] == 0
    assert clock.time > 60


@pytest.mark.promise("fail-closed")
def test_a_call_that_was_sent_and_never_answered_has_an_unknown_outcome() -> None:
    call, clock, _ = calling([CUT, DOWN], wait=10)

    assert call.run()[0] == 6
    assert 60 <= clock.time < 120


def test_still_pending_when_the_wait_is_over_is_4_and_was_asked_with_the_seconds_left() -> None:
    call, clock, sent = calling([PENDING], wait=60, each=20)

    code, said = call.run()

    assert (code, said) == (4, PENDING)
    assert [knobs["Prefer"] for knobs in sent] == ["wait=60", "wait=35", "wait=10"]
    assert clock.time == 70


def test_each_attempt_brings_a_fresh_token() -> None:
    given: list[str] = []

    def token() -> str:
        given.append(f"t{len(given)}")
        return given[-1]

    call, _, _ = calling([PENDING, PENDING, Answered("done")], wait=60, token=token)
    call.run()

    assert given == ["t0", "t1", "t2"]


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90", 90), ("45s", 45), ("30m", 1800), ("2h", 7200)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_wait(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "3d", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_wait(text)


def _no_fetch(_url: str, _headers: Mapping[str, str]) -> bytes:
    raise AssertionError("nothing was to be fetched")


def test_github_is_asked_for_a_token_with_the_audience() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def fetch(url: str, headers: Mapping[str, str]) -> bytes:
        asked.append((url, headers))
        return json.dumps({"value": "minted"}).encode()

    environ = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://runner.example/token?v=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "r",
    }
    source = token_source(environ, audience="https://gw.example/mcp/orders-db")

    assert source.get(fetch) == "minted"
    url, headers = asked[0]
    assert url == "https://runner.example/token?v=2&audience=https%3A%2F%2Fgw.example%2Fmcp%2Forders-db"
    assert headers == {"Authorization": "Bearer r"}


def test_a_projected_token_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    source = token_source({}, audience="x", kubernetes=str(path))
    first = source.get(_no_fetch)
    path.write_text("second\n")

    assert (first, source.get(_no_fetch)) == ("first", "second")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOLDGATE_TOKEN": "own", "HOLDGATE_ID_TOKEN": "gitlab"}, "own"),
        ({"HOLDGATE_ID_TOKEN": "gitlab"}, "gitlab"),
    ],
)
def test_an_explicit_token_comes_before_the_platforms(environ: dict[str, str], expected: str) -> None:
    source = token_source(environ, audience="x", kubernetes="/nonexistent")

    assert source.get(_no_fetch) == expected


def test_without_any_token_the_ways_to_get_one_are_named() -> None:
    with pytest.raises(TokenUnavailable, match="id-token: write"):
        token_source({}, audience="x", kubernetes="/nonexistent")


@pytest.mark.promise("secrets-stay")
@pytest.mark.parametrize("token", ["two words", "line\nend", "", "ümlaut"])
def test_a_token_that_would_change_the_header_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(TokenUnavailable) as caught:
        token_source({"HOLDGATE_ID_TOKEN": token or " "}, audience="x").get(_no_fetch)

    assert not token or token not in str(caught.value)
