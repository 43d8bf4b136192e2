"""Bob is away and Eve decides in his place, at a real gateway: the call runs once, and not when it was taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.people import ALICE, BOB, CONNECTION, DAVE, EVE
from tests.world import World, marker


@contextlib.contextmanager
def eve_stands_in(here: World) -> Iterator[str]:
    """Let Eve decide in Bob's place for as long as this lasts; others who share the gateway know nothing of it."""
    for human in (BOB, EVE):
        with here.browser(human):
            pass
    body = {"delegate": EVE.account(here.issuer), "ends_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    made = here.api(BOB, "POST", "delegations/", json=body)
    assert made.status_code == 201, made.text
    try:
        yield str(made.json()["id"])
    finally:
        here.api(BOB, "POST", f"delegations/{made.json()['id']}/revoke/")


def test_a_call_that_a_stand_in_approved_runs_once_and_says_for_whom(here: World) -> None:
    mark = marker()
    held = here.caller(DAVE).begin("query", {"sql": "delete", "marker": mark})
    assert here.decide(held.approval_id, "approve", who=EVE).status_code == 404
    with eve_stands_in(here):
        decided = here.decide(held.approval_id, "approve", who=EVE)
        assert decided.status_code == 200, decided.text
        assert not held.answer().is_error
    assert here.upstreams[CONNECTION].markers[mark] == 1
    (vote,) = here.approval(held.approval_id)["votes"]
    assert (vote["by"], vote["on_behalf_of"]) == (EVE.account(here.issuer), BOB.account(here.issuer))


@pytest.mark.promise("bound-decision")
def test_what_a_stand_in_approved_does_not_run_once_they_stand_in_no_more(here: World) -> None:
    mark = marker()
    line = here.caller(DAVE)
    asked = line.call("query", {"sql": "delete", "marker": mark}, prefer="wait=0")
    approval = str(asked.approval["id"])
    with eve_stands_in(here):
        assert here.decide(approval, "approve", who=EVE).json()["status"] == "approved"

    again = line.call("query", {"sql": "delete", "marker": mark}, prefer="wait=0")

    assert again.outcome == ("pending", "false"), again.text
    assert again.approval["id"] != approval
    assert here.approval(approval)["status"] == "superseded"
    assert here.upstreams[CONNECTION].markers[mark] == 0


@pytest.mark.promise("no-self-approval")
def test_who_asks_is_not_helped_by_somebody_who_is_away(here: World) -> None:
    mark = marker()
    with eve_stands_in(here):
        asked = here.caller(BOB, groups=["engineering"]).call(
            "query", {"sql": "delete", "marker": mark}, prefer="wait=0"
        )
        approval = str(asked.approval["id"])
        assert here.decide(approval, "approve", who=EVE).status_code == 403
        assert here.decide(approval, "approve", who=BOB).status_code == 403
        assert here.decide(approval, "approve", who=ALICE).status_code == 200
