"""The frames of the tunnel: whatever is sent is read back, whatever else comes is refused, and nothing overflows."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.tunnel import frames
from proxy.tunnel.flow import Allowance, Intake
from proxy.tunnel.frames import FROM_AGENT, FROM_GATEWAY, Frame, Head, Hello, Kind, Opening, TunnelBroken

_ALL = frozenset(Kind)
_TEXT = st.text(max_size=30)
_PAIRS = st.lists(st.tuples(_TEXT, _TEXT), max_size=4).map(tuple)
_BODIES = st.binary(max_size=2000)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(Kind), st.integers(1, 2**32 - 1), _BODIES)
def test_a_frame_is_read_back(kind: Kind, stream: int, payload: bytes) -> None:
    frame = Frame(kind, 0 if kind in frames.OF_NO_STREAM else stream, payload)

    assert frames.decoded(frame.encoded(), _ALL) == frame


@given(st.binary(max_size=300))
def test_other_bytes_are_a_frame_or_refused(message: bytes) -> None:
    for expected in (FROM_AGENT, FROM_GATEWAY):
        try:
            frame = frames.decoded(message, expected)
        except TunnelBroken:
            continue
        assert frame.encoded() == message
        assert frame.kind in expected


@pytest.mark.parametrize("kind", sorted(Kind), ids=lambda kind: kind.name)
def test_a_frame_belongs_to_a_stream_or_to_none(kind: Kind) -> None:
    wrong = Frame(kind, 7 if kind in frames.OF_NO_STREAM else 0)

    with pytest.raises(TunnelBroken, match="wrong stream"):
        frames.decoded(wrong.encoded(), _ALL)


def test_a_frame_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TunnelBroken, match="too long"):
        frames.decoded(Frame(Kind.DATA, 1, b"x" * frames.LARGEST_FRAME).encoded(), _ALL)


@given(_TEXT, _PAIRS, _PAIRS, st.none() | _TEXT, st.none() | _TEXT, _BODIES, st.integers(0, 5000))
def test_a_request_is_read_back(
    name: str,
    headers: tuple[tuple[str, str], ...],
    fields: tuple[tuple[str, str], ...],
    session: str | None,
    last: str | None,
    first: bytes,
    more: int,
) -> None:
    opening = Opening(name, "POST", len(first) + more, headers, fields, session, last)

    assert Opening.read(opening.payload(first)) == (opening, first)


@given(st.integers(100, 599), st.dictionaries(_TEXT.map(str.lower).filter(lambda it: it == it.lower()), _TEXT), _BODIES)
def test_the_head_of_an_answer_is_read_back(status: int, headers: dict[str, str], first: bytes) -> None:
    for is_whole in (True, False):
        head = Head(status, headers, is_whole)
        assert Head.read(head.payload(first)) == (head, first)


@given(st.lists(_TEXT.filter(str.isprintable), max_size=5).map(tuple), _TEXT.filter(str.isprintable))
def test_a_registration_is_read_back(names: tuple[str, ...], build: str) -> None:
    hello = Hello(build, names)

    assert Hello.read(hello.payload()) == hello


@given(_BODIES)
def test_payloads_that_are_none_are_refused(payload: bytes) -> None:
    for read in (Opening.read, Head.read, Hello.read):
        with pytest.raises(TunnelBroken):
            read(payload)


@pytest.mark.parametrize(
    "document",
    [
        {"version": 2, "build": "1", "connections": []},
        {"version": 1, "build": 1, "connections": []},
        {"version": 1, "build": "1", "connections": ["x" * 64]},
        {"version": 1, "build": "1", "connections": ["x"] * 501},
        {"version": 1, "build": "1", "connections": "orders"},
    ],
)
def test_a_registration_keeps_to_its_limits(document: dict[str, object]) -> None:
    with pytest.raises(TunnelBroken):
        Hello.read(frames.headed(document))


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 3},
        {"size": True},
        {"size": 1 << 31},
        {"verb": "PUT"},
        {"headers": [["a"]]},
        {"session": 1},
    ],
    ids=str,
)
def test_a_request_keeps_to_its_limits(change: dict[str, object]) -> None:
    usual = {"connection": "c", "verb": "POST", "size": 4, "headers": [], "fields": []}

    assert Opening.read(frames.headed(usual, b"body"))[1] == b"body"
    with pytest.raises(TunnelBroken):
        Opening.read(frames.headed({**usual, **change}, b"body"))


class Flowing(RuleBasedStateMachine):
    """A sender and a receiver, with bytes and credit on their way between them."""

    def __init__(self) -> None:
        super().__init__()
        self.allowance, self.intake = Allowance(), Intake()
        self.on_the_way: list[int] = []
        self.waiting: list[int] = []
        self.returned: list[int] = []

    @rule(wanted=st.integers(1, 3 * frames.PIECE))
    def send(self, wanted: int) -> None:
        if taken := self.allowance.take_now(wanted):
            self.on_the_way.append(taken)

    @precondition(lambda self: self.on_the_way)
    @rule()
    def arrive(self) -> None:
        size = self.on_the_way.pop(0)
        self.intake.came(size)  # never refuses what the sender was allowed
        self.waiting.append(size)

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        if returned := self.intake.taken(self.waiting.pop(0)):
            self.returned.append(returned)

    @precondition(lambda self: self.returned)
    @rule()
    def grant(self) -> None:
        self.allowance.grant(self.returned.pop(0))

    @invariant()
    def never_more_than_the_window_waits(self) -> None:
        assert sum(self.on_the_way) + sum(self.waiting) <= frames.WINDOW

    def teardown(self) -> None:
        """Whatever happened, the stream goes on once everything was taken: no credit is lost for good."""
        while self.on_the_way or self.waiting or self.returned:
            for step, queue in ((self.arrive, self.on_the_way), (self.take, self.waiting), (self.grant, self.returned)):
                if queue:
                    step()
        assert self.allowance.left > frames.WINDOW // 2


test_bytes_and_credit_never_overflow = Flowing.TestCase


def test_who_sends_too_much_or_grants_too_much_is_refused() -> None:
    with pytest.raises(TunnelBroken):
        Intake().came(frames.WINDOW + 1)
    with pytest.raises(TunnelBroken):
        Allowance().grant(1)


def test_a_sender_waits_for_credit_and_goes_on() -> None:
    async def check() -> None:
        allowance = Allowance()
        assert await allowance.take(frames.WINDOW) == frames.WINDOW
        waiting = asyncio.ensure_future(allowance.take(10))
        await asyncio.sleep(0)
        assert not waiting.done()
        allowance.grant(4)
        assert await waiting == 4

    asyncio.run(check())


@pytest.mark.parametrize("said", ["a\x00b", "\ud800", "a\nb"], ids=["nul", "surrogate", "line"])
def test_a_registration_that_cannot_be_written_down_is_refused(said: str) -> None:
    with pytest.raises(TunnelBroken):
        Hello.read(frames.headed({"version": frames.VERSION, "build": said, "connections": []}))
    with pytest.raises(TunnelBroken):
        Hello.read(frames.headed({"version": frames.VERSION, "build": "1", "connections": [said]}))


def test_of_a_health_only_words_and_numbers_are_kept() -> None:
    told = {"state": "failing\x00", "fault": {"x": "\x00"}, "since": float("nan"), "calls": 10**400, "faults": 2}

    health = frames.health_of(frames.headed({"connections": {"far": told, "other": {"state": "ok"}}}), ("far",))

    assert health == {"far": {"faults": 2}}
