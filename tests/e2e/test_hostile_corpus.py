"""More than a thousand hostile requests and as many hostile answers at one gateway: what is said, executed, kept.

The requests and answers are in `tests/corpus`, family by family, each with what has to come of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.corpus.all_requests import CASES
from tests.corpus.request_case import Case, Told
from tests.corpus.sending import Heard, send_all
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, world

MEGABYTE = 1 << 20
MOST_GROWTH = 16 * MEGABYTE


@dataclass
class Siege:
    """The gateway and its honest upstream."""

    here: World

    def memory(self) -> int:
        """Return how many bytes of memory the gateway's process uses."""
        assert self.here.gateway.process is not None
        status = Path(f"/proc/{self.here.gateway.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024

    def ask(self, cases: tuple[Case, ...]) -> list[tuple[Case, str, Heard]]:
        """Send all of them; return each with its marker and what came back."""
        caller, marks = self.here.caller(DAVE), [marker() for _ in cases]
        host = f"127.0.0.1:{self.here.gateway.port}"
        requests = [case.render(mark, host, caller.token) for case, mark in zip(cases, marks, strict=True)]
        return list(zip(cases, marks, send_all(self.here.gateway.port, requests), strict=True))


@pytest.fixture(scope="module")
def siege(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with running() as upstream:
        connections = {CONNECTION: connection(upstream.url, max_body="64KiB")}
        groups = {"platform": {"members": ["root@example.com"]}, "dba": {"members": [people.ALICE.email]}}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, groups=groups))
        short = {"HOLDGATE_REQUEST_SECONDS": "2"}
        with world(tmp_path_factory.mktemp("corpus"), issuer, {CONNECTION: upstream}, text, **short) as here:
            here.start()
            yield Siege(here)
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
    assert len(CASES) >= 500
    siege.ask(CASES)  # which warms up whatever is kept: the second time nothing may be added
    before, asked = siege.memory(), len(upstream.calls)

    heard = siege.ask(CASES)

    found = {case.name: wrong(case.told, answer, upstream.markers[mark]) for case, mark, answer in heard}
    mistakes = [f"{name}: {what}" for name, what in found.items() if what]
    assert not mistakes, f"{len(mistakes)} mistakes\n" + "\n".join(mistakes)
    assert len(upstream.calls) - asked == sum(case.told.fine for case in CASES)
    assert siege.memory() - before < MOST_GROWTH
    assert siege.here.caller(DAVE).call("echo", {"text": "hello", "marker": marker()}).outcome == (None, None)
    failed = [line for line in siege.here.gateway.log if "Traceback" in line or '"ERROR"' in line or " ERROR " in line]
    assert not failed, "".join(failed)
