"""Several web processes on one database: one is told to stop, and its held callers get an answer and go elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import Form
from tests.issuer import FakeIssuer
from tests.people import ALICE, CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("nothing-lost")


@pytest.fixture(scope="module")
def staying(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str) -> Iterator[World]:
    """A web process that stays while others come and go."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        rules = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules)
        text = people.config_yaml(issuer.url, "", **blocks)
        folder: Path = tmp_path_factory.mktemp("stopping")
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, postgresql_url))
        made.gateway.form = "web"
        made.gateway.prepare()
        made.start()
        yield made


@pytest.mark.parametrize("form", ["web", "uvicorn", "workers"])
def test_a_held_call_gets_its_pending_result_and_is_joined_at_another_process(staying: World, form: Form) -> None:
    mark = marker()
    arguments = {"sql": "delete from x", "marker": mark}
    with staying.beside(form) as leaving:
        held = leaving.caller(DAVE).begin("query", arguments)
        approval = held.approval_id

        code = leaving.gateway.stop()

        answer = held.answer()
        assert answer.outcome == ("pending", "false"), "open streams get an end, not a cut"
        assert answer.approval["id"] == approval
        assert code in {0, -15}
    assert staying.approval(approval)["status"] == "pending"

    again = staying.caller(DAVE).begin("query", arguments)
    assert again.approval_id == approval
    staying.approve(approval)
    assert not again.answer().is_error
    assert staying.upstream.markers[mark] == 1


def test_who_waits_at_the_api_is_answered_too(staying: World) -> None:
    approval = staying.caller(DAVE).call("query", {"sql": "delete from x"}, prefer="wait=0").approval["id"]
    with staying.beside("uvicorn") as leaving:
        asked = leaving.aside(lambda: leaving.api(ALICE, "GET", f"approvals/{approval}/?wait=60"))
        leaving.noticed()

        leaving.gateway.stop()

        assert asked.result(1).json()["status"] == "pending"
