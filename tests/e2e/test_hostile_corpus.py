"""More than a thousand hostile requests and as many hostile answers at one gateway: what is said, executed, kept.

The requests and answers are in `tests/corpus`, family by family, each with what has to come of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.corpus.all_answers import CASES as ANSWERS
from tests.corpus.all_requests import CASES as REQUESTS
from tests.corpus.answer_case import Case as Given
from tests.corpus.request_case import CALL, Case, Told, post
from tests.corpus.sending import Heard, send_all
from tests.hostile import Hostile, Turn
from tests.hostile_scripts import CANARY
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, world

MEGABYTE = 1 << 20
MOST_GROWTH = 16 * MEGABYTE
_TO_HOSTILE = post(CALL).replace(b"/orders-db ", b"/hostile ", 1)


@dataclass
class Siege:
    """The gateway and its honest upstream."""

    here: World
    hostile: Hostile

    def memory(self) -> int:
        """Return how many bytes of memory the gateway's process uses."""
        assert self.here.gateway.process is not None
        status = Path(f"/proc/{self.here.gateway.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024

    def failures(self) -> list[str]:
        """Return what the gateway's log says of faults of its own."""
        return [line for line in self.here.gateway.log if "Traceback" in line or "ERROR" in line]

    def ask(self, cases: tuple[Case, ...]) -> list[tuple[Case, str, Heard]]:
        """Send all of them; return each with its marker and what came back."""
        caller, marks = self.here.caller(DAVE), [marker() for _ in cases]
        host = f"127.0.0.1:{self.here.gateway.port}"
        requests = [case.render(mark, host, caller.token) for case, mark in zip(cases, marks, strict=True)]
        return list(zip(cases, marks, send_all(self.here.gateway.port, requests), strict=True))

    def provoke(self, cases: Sequence[Given]) -> list[tuple[Given, str, Heard]]:
        """Call the hostile upstream once for each answer; return each with its marker and what the caller heard."""
        caller, marks = self.here.caller(DAVE), [marker() for _ in cases]
        given = dict(zip(marks, cases, strict=True))

        async def give(turn: Turn) -> None:
            await given[json.loads(turn.seen.body)["params"]["arguments"]["marker"]].give(turn)

        self.hostile.script = give
        host, template = f"127.0.0.1:{self.here.gateway.port}", Case("", _TO_HOSTILE, Told(200))
        requests = [template.render(mark, host, caller.token) for mark in marks]
        return list(zip(cases, marks, send_all(self.here.gateway.port, requests), strict=True))


@pytest.fixture(scope="module")
def siege(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with running() as upstream, Hostile() as hostile:
        connections = {
            CONNECTION: connection(upstream.url, max_body="64KiB"),
            "hostile": connection(hostile.url, timeout="3s", max_answer="1MiB"),
        }
        groups = {"platform": {"members": ["root@example.com"]}, "dba": {"members": [people.ALICE.email]}}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, groups=groups))
        short = {"HOLDGATE_REQUEST_SECONDS": "2"}
        with world(tmp_path_factory.mktemp("corpus"), issuer, {CONNECTION: upstream}, text, **short) as here:
            here.start()
            assert here.witness is not None
            here.witness.watch("hostile", cast("FakeUpstream", hostile))
            yield Siege(here, hostile)
            here.gateway.stop()


def wrong(told: Told, heard: Heard, executions: int) -> str | None:
    """Say what is wrong with an answer and with what the upstream executed; None when all is as it has to be."""
    if executions != told.fine:
        return f"it was executed {executions} times"
    if heard.is_open:
        return f"the connection stays open after {heard.data[:160]!r}"
    if told.silent and not heard.data:
        return None
    if heard.status != told.status or heard.data.count(b"HTTP/1.1 ") > 1:
        return f"{heard.status} instead of {told.status}: {heard.data[-160:]!r}"
    return _wrong_body(told, heard)


def _wrong_body(told: Told, heard: Heard) -> str | None:
    shown = f"{heard.body[:160]!r}"
    if told.by_server:
        return None if heard.kind == "text/plain" else f"not by the server: {shown}"
    found = heard.json()
    if not isinstance(found, dict):
        return f"no JSON: {shown}"
    if told.fine:
        return None if "result" in found else f"no result: {shown}"
    return _wrong_refusal(told, found)


def _wrong_refusal(told: Told, found: dict[str, Any]) -> str | None:
    error = found.get("error", {})
    if error.get("code") != told.code:
        return f"code {error.get('code')} instead of {told.code}: {found}"
    fields = found if told.code is None else error["data"]
    if (fields.get("reason"), fields.get("executed")) != (told.reason, "false"):
        return f"{fields}"
    return None if fields.get("message") else "it does not say what is wrong"


@pytest.mark.promise("fail-closed")
def test_each_hostile_request_is_refused_with_a_word_and_none_is_executed(siege: Siege) -> None:
    upstream = siege.here.upstream
    assert len(REQUESTS) >= 500
    siege.ask(REQUESTS[::2])  # which warms up whatever is kept: the second time nothing may be added
    before, asked = siege.memory(), len(upstream.calls)

    heard = siege.ask(REQUESTS)

    found = {case.name: wrong(case.told, answer, upstream.markers[mark]) for case, mark, answer in heard}
    mistakes = [f"{name}: {what}" for name, what in found.items() if what]
    assert not mistakes, f"{len(mistakes)} mistakes\n" + "\n".join(mistakes)
    assert len(upstream.calls) - asked == sum(case.told.fine for case in REQUESTS)
    assert siege.memory() - before < MOST_GROWTH
    assert siege.here.caller(DAVE).call("echo", {"text": "hello", "marker": marker()}).outcome == (None, None)
    assert not siege.failures()


def misled(case: Given, heard: Heard, sent: int) -> str | None:
    """Say what is wrong with what the caller heard of an answer; None when all is as it has to be."""
    if sent != 1:
        return f"it was sent {sent} times"
    if heard.is_open or heard.status is None:
        return f"no answer, or no end: {heard.data[-160:]!r}"
    if CANARY.encode() in heard.data:
        return "the caller saw what nobody may see"
    found = heard.json()
    if not isinstance(found, dict) or found.get("id", 7) != 7:
        return f"not the answer: {heard.body[:160]!r}"
    told = outcome(heard)
    return None if told == (case.told.reason, case.told.executed) else f"{told}: {heard.body[-300:]!r}"


def outcome(heard: Heard) -> tuple[str | None, str | None]:
    """Return the reason and `executed` that an answer tells."""
    found = _object(heard.json())
    holder = _object(found.get("result")).get("_meta") or _object(found.get("error")).get("data")
    decision = _object(_object(holder).get("holdgate/decision"))
    return decision.get("reason"), decision.get("executed")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@pytest.mark.promise("fail-closed")
@pytest.mark.promise("masked-everywhere")
def test_each_hostile_answer_is_told_truly_and_nothing_of_it_is_passed_on(siege: Siege) -> None:
    hostile = siege.hostile
    assert len(ANSWERS) >= 500
    siege.provoke(ANSWERS[::3])
    before = siege.memory()

    heard = siege.provoke(ANSWERS)
    # Not one byte was sent where too many idle connections in a row were spoilt by the answers before.
    spared = {case.name: outcome(answer) for case, mark, answer in heard if not hostile.times(mark)}
    assert len(spared) < len(ANSWERS) / 20
    assert set(spared.values()) <= {("upstream_unavailable", "false")}, spared
    heard = [one for one in heard if one[0].name not in spared]
    for case in ANSWERS:
        heard += siege.provoke([case]) if case.name in spared else []

    sent = Counter(
        json.loads(seen.body)["params"]["arguments"]["marker"]
        for seen in hostile.requests
        if b"tools/call" in seen.body
    )
    found = {case.name: misled(case, answer, sent[mark]) for case, mark, answer in heard}
    mistakes = [f"{name}: {what}" for name, what in found.items() if what]
    assert not mistakes, f"{len(mistakes)} mistakes\n" + "\n".join(mistakes)
    assert siege.memory() - before < MOST_GROWTH
    hostile.script = None
    assert siege.here.caller(DAVE, "hostile").call("echo", {"marker": marker()}).said == "done"
    assert siege.here.caller(DAVE).call("echo", {"text": "hello", "marker": marker()}).outcome == (None, None)
    assert not siege.failures()


@pytest.mark.promise("nothing-lost")
def test_the_record_tells_the_same_story_as_the_upstreams(siege: Siege) -> None:
    siege.here.assert_history()
