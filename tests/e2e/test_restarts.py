"""The gateway is stopped or killed in the middle of things, and started again on what it left."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

import httpx
import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.line import Held
from tests.people import CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("nothing-lost")


@pytest.fixture(scope="module")
def own(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of this module alone, running."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        rules = [
            word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba()),
            word_rule("take-care", "hold", r"\bcareful\b", approval=one_dba()),
        ]
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules)
        text = people.config_yaml(issuer.url, "", **blocks)
        folder = tmp_path_factory.mktemp("restarts")
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text))
        made.start()
        yield made


def _restart(own: World, *, clean: bool) -> None:
    if clean:
        assert own.gateway.stop() == 0
    else:
        own.gateway.kill()
    own.start()


@pytest.mark.parametrize("clean", [True, False], ids=["stopped", "killed"])
def test_a_pending_call_is_joined_after_a_restart_and_runs_once(own: World, clean: bool) -> None:
    caller, mark = own.caller(DAVE), marker()
    arguments = {"sql": "delete from x", "marker": mark}
    held = caller.begin("query", arguments)
    approval = held.approval_id
    unseen = caller.call("query", {**arguments, "marker": marker()}, prefer="wait=0").approval["id"]

    _restart(own, clean=clean)

    if clean:
        answer = held.answer()
        assert answer.outcome == ("pending", "false"), "open streams get an end, not a cut"
        assert answer.approval["id"] == approval
    else:
        _assert_cut(held)
    assert [own.approval(one)["status"] for one in (approval, unseen)] == ["pending", "pending"]
    again = own.caller(DAVE).begin("query", arguments)
    assert again.approval_id == approval
    own.approve(approval)
    assert not again.answer().is_error
    assert own.upstream.markers[mark] == 1


def _assert_cut(held: Held) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = held.answer()
        assert answer.body is None, "a killed gateway cannot have answered"


@pytest.mark.promise("bound-decision")
def test_an_approval_survives_the_kill_and_is_collected_once(own: World) -> None:
    caller, mark = own.caller(DAVE), marker()
    arguments = {"sql": "delete from x", "marker": mark}
    asked = caller.call("query", arguments, prefer="wait=0").approval["id"]
    own.approve(asked)

    _restart(own, clean=False)

    assert own.approval(asked)["status"] == "approved"
    assert not own.caller(DAVE).call("query", arguments).is_error
    assert own.upstream.markers[mark] == 1
    # Who had to come back and hung up at once may do so again for a minute; with a key of its own a call is a new one.
    anew = own.caller(DAVE).call("query", arguments, prefer="wait=0", idempotency_key="another")
    assert anew.approval["id"] != asked
    assert own.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
def test_killed_while_executing_the_outcome_is_unknown_until_somebody_resolved_it(own: World) -> None:
    caller, mark, upstream = own.caller(DAVE), marker(), own.upstream
    upstream.hold()
    held = caller.begin("slow", {"how": "careful", "marker": mark})
    approval = held.approval_id
    own.approve(approval)
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    # Somebody who asks meanwhile and does not wait: that refusal does not end the call.
    beside = caller.call("slow", {"how": "careful", "marker": mark}, holdgate_approval=approval, prefer="wait=0")
    assert beside.outcome == ("pending", "unknown")

    _restart(own, clean=False)
    upstream.release()

    _assert_cut(held)
    until(lambda: own.approval(approval)["status"] == "outcome_unknown", "the recovery to mark the call")
    again = own.caller(DAVE).call("slow", {"how": "careful", "marker": mark})
    assert again.is_error
    assert again.outcome == ("outcome_unknown", "unknown")
    call_id = own.approval(approval)["call_id"]
    assert own.call_document(call_id)["executed"] == "unknown"
    resolved = own.decide(approval, "resolve", comment="looked at the table: it was done")
    assert resolved.status_code == 200, resolved.text
    anew = own.caller(DAVE).call("slow", {"how": "careful", "marker": mark}, prefer="wait=0")
    assert anew.outcome == ("pending", "false")
    assert upstream.markers[mark] == 1, "it was silently run again"


def test_a_call_of_unknown_outcome_with_a_key_is_not_run_again(own: World) -> None:
    caller, mark, upstream = own.caller(DAVE), marker(), own.upstream
    upstream.hold()
    running_call = caller.begin("slow", {"marker": mark}, idempotency_key=mark)
    upstream.wait_for(lambda it: it.markers[mark] == 1)

    _restart(own, clean=False)
    upstream.release()

    _assert_cut(running_call)
    again = own.caller(DAVE).call("slow", {"marker": mark}, idempotency_key=mark)
    assert again.outcome == ("outcome_unknown", "unknown")
    assert upstream.markers[mark] == 1


def test_a_clean_stop_lets_a_running_call_end(own: World) -> None:
    mark, upstream = marker(), own.upstream
    upstream.hold()
    running_call = own.caller(DAVE).begin("slow", {"marker": mark})
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    stopping = own.aside(own.gateway.stop)
    until(lambda: _refuses(own), "the gateway to refuse new calls")
    upstream.release()

    assert running_call.answer().said == "done"
    assert stopping.result(40) == 0


def _refuses(own: World) -> bool:
    try:
        return own.caller(DAVE).ask("tools/list").status == 503
    except httpx.TransportError:
        return True


# From here on the gateway is stopped.


@pytest.mark.promise("intent-first")
def test_the_record_tells_the_same_story_as_the_upstream(own: World) -> None:
    own.assert_history()
