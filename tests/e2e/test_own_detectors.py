"""Detectors of one's own and hidden arguments through a running gateway: at once, in a running stream, and sealed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import leaks
from tests.issuer import FakeIssuer
from tests.people import ALICE, CAROL, CONNECTION, DAVE
from tests.stored import opened
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = [pytest.mark.promise("rule-at-once"), pytest.mark.promise("masked-everywhere")]

SECRET = "canary.sealed@planted.example.net"
HOLD = word_rule(
    "writes", "hold", r"\bdelete\b", approval={**one_dba(), "require": {"any_of": [{"groups": ["dba", "security"]}]}}
)
FINISHED = {"detectors": [{"name": "finished", "pattern": r"\bdone\b"}]}


class Here:
    """A gateway in front of a server that streams, whose configuration the tests change while it runs."""

    def __init__(self, world: World) -> None:
        self.world = world

    def text(self, **blocks: Any) -> str:
        """Return the whole configuration with these blocks."""
        said = spelled_out(connections={CONNECTION: connection(self.world.upstream.url)}, **blocks)
        return people.config_yaml(self.world.issuer.url, "", **said)

    def put(self, **blocks: Any) -> None:
        """Publish it over the API."""
        fields = {"content-type": "application/yaml"}
        answer = self.world.api(DAVE, "PUT", "policy/", content=self.text(**blocks), headers=fields)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def here(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running(stream=True))
        upstream.notes_first = True
        made = stack.enter_context(world(tmp_path_factory.mktemp("own"), issuer, {CONNECTION: upstream}, ""))
        here = Here(made)
        made.gateway.configure(here.text(rules=[], masking=[]))
        made.start()
        yield here
        made.gateway.stop()


def test_a_detector_that_is_published_governs_the_next_message_of_a_running_stream(here: Here) -> None:
    upstream, caller = here.world.upstream, here.world.caller(DAVE)
    here.put(rules=[], masking=[])
    begun = caller.begin("slow", {"marker": marker()}, meta={"progressToken": "t"})
    upstream.wait_for(lambda it: it.executions["slow"] == 1)

    here.put(rules=[], masking=[{"name": "own", "detectors": ["finished"]}], **FINISHED)
    upstream.release()

    assert begun.answer().said == "[finished]"


def test_a_rule_may_ask_for_it(here: Here) -> None:
    deny = {
        "name": "no",
        "action": "deny",
        "match": {"arguments": [{"path": "**", "contains": ["finished"]}]},
    }
    here.put(rules=[deny], masking=[], **FINISHED)

    said = here.world.caller(DAVE).call("echo", {"text": "well done", "marker": marker()})
    passed = here.world.caller(DAVE).call("echo", {"text": "well", "marker": marker()})

    assert (said.outcome, passed.said) == (("blocked", "false"), "well")


def test_a_hidden_argument_is_shown_for_a_reason_and_lies_nowhere_readable(here: Here) -> None:
    rule = {**HOLD, "approval": {**HOLD["approval"], "reveal_to": ["security"]}}
    here.put(rules=[rule], masking=[{"name": "people", "detectors": ["email"]}])
    held = here.world.caller(DAVE).begin("query", {"sql": "delete from x", "to": SECRET, "marker": marker()})
    path = f"approvals/{held.approval_id}/"
    (hidden,) = here.world.api(CAROL, "GET", path).json()["hidden"]

    refused = here.world.api(ALICE, "POST", f"{path}reveal/", json={"place": hidden["place"], "reason": "x"})
    shown = here.world.api(CAROL, "POST", f"{path}reveal/", json={"place": hidden["place"], "reason": "is it mine?"})

    assert refused.status_code == 403
    assert (shown.json()["name"], shown.json()["value"]) == ("to", SECRET)
    with opened(here.world.gateway) as stored:
        contents = list(stored.contents())
        assert "approvals_sealedarguments" in {name for name, _ in contents}
        assert "approval.revealed" in {row[0] for row in stored.rows("SELECT kind FROM mcp_sessions_entry")}
    files = [(str(file), file.read_bytes()) for file in here.world.gateway.folder.rglob("*") if file.is_file()]
    log = [("log", "".join(here.world.gateway.log).encode())]
    assert not list(leaks({"the hidden argument": SECRET}.items(), iter([*contents, *files, *log])))

    here.world.approve(held.approval_id)

    assert held.answer().outcome == (None, None)
    late = here.world.api(CAROL, "POST", f"{path}reveal/", json={"place": hidden["place"], "reason": "again"})
    assert late.status_code in {403, 409}
    with opened(here.world.gateway) as stored:
        assert stored.value("SELECT count(*) FROM approvals_sealedarguments") == 0
