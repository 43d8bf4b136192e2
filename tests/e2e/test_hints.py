"""Two gateway processes on one PostgreSQL: what one decides the other hears of, and without any hint it finds out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.line import Held
from tests.people import ALICE, CONNECTION, DAVE
from tests.relay import Relay, relay
from tests.upstream import running
from tests.world import World, marker, until, world

LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdgate listener'"
)
GUARD = 15.0


@pytest.fixture(scope="module")
def pair(
    issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> Iterator[tuple[World, World]]:
    """Two web processes of one installation."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        rules = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
        text = people.config_yaml(
            issuer.url, "", **spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules)
        )
        folder: Path = tmp_path_factory.mktemp("hints")
        login = {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
        first = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, postgresql_url, **login))
        first.gateway.form = "web"
        first.gateway.prepare()
        first.start()
        yield first, stack.enter_context(first.beside())


def listeners(one: World) -> set[int]:
    """Return the backends that listen for hints."""
    return {row[0] for row in one.stored.rows(LISTENERS)}


def both_listen(one: World, besides: frozenset[int] = frozenset()) -> frozenset[int]:
    """Wait until two others than these backends listen, and return them."""
    until(lambda: len(listeners(one) - besides) == 2, "both processes to listen")
    return frozenset(listeners(one) - besides)


def ask(one: World) -> str:
    """Ask for something at this process without waiting; return the approval's id."""
    answer = one.caller(DAVE).call("query", {"sql": "delete from x", "marker": marker()}, prefer="wait=0")
    return str(answer.approval["id"])


@contextlib.contextmanager
def inbox(one: World) -> Iterator[ClientConnection]:
    """Open Alice's live inbox at this process."""
    with one.browser(ALICE) as browser:
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        address = one.gateway.url.replace("http:", "ws:") + "/ws/inbox/"
        origin = Origin(one.gateway.url)
        with connect(address, origin=origin, additional_headers={"cookie": cookies}, proxy=None) as page:
            yield page


def test_a_call_held_at_one_process_is_decided_at_the_other(pair: tuple[World, World]) -> None:
    here, there = pair
    mark = marker()
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})

    there.approve(held.approval_id)

    assert not held.answer().is_error
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
def test_a_call_held_at_one_process_is_given_up_at_the_other(pair: tuple[World, World]) -> None:
    here, there = pair
    both_listen(here)
    call = here.caller(DAVE).tool_call("query", {"sql": "delete from x", "marker": marker()})
    program = {"User-Agent": "one program"}
    held = Held(here.caller(DAVE), call, program)
    approval = held.approval_id
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call["id"]}}

    there.caller(DAVE).post(cancelled, **program)

    assert held.answer().outcome == ("pending", "false")
    assert here.attached(approval) == ""


def test_an_open_page_hears_of_what_happens_at_the_other_process(pair: tuple[World, World]) -> None:
    here, there = pair
    both_listen(here)
    with inbox(here) as page:
        ask(there)  # nobody waits for it here, so that the sweep knows nothing of it

        assert page.recv(GUARD) == '{"changed": true}'


@pytest.mark.promise("nothing-lost")
def test_a_listener_that_was_cut_listens_again_and_looks_at_what_it_missed(pair: tuple[World, World]) -> None:
    here, there = pair
    before = both_listen(here)
    with inbox(here) as page:
        here.stored.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(?)", list(before))
        both_listen(here, besides=before)
        assert page.recv(GUARD), "whatever happened meanwhile"

        ask(there)

        assert page.recv(GUARD)


@contextlib.contextmanager
def beside_with_an_ear_of_its_own(one: World) -> Iterator[tuple[World, Relay]]:
    """Start a third process, past a pooler, that listens over a way which can be stopped up or cut."""
    others = both_listen(one)
    address = urlsplit(one.gateway.database_url)
    with relay(str(address.hostname), address.port or 5432) as way:
        direct = address._replace(netloc=f"postgres@127.0.0.1:{way.port}").geturl()
        with one.beside(DATABASE_DIRECT_URL=direct) as third:
            until(lambda: len(listeners(third) - others) == 1, "the third to listen")
            yield third, way


@pytest.mark.promise("nothing-lost")
def test_without_any_hint_the_decision_is_found(pair: tuple[World, World]) -> None:
    decided_at, _ = pair
    mark, others = marker(), both_listen(decided_at)
    with beside_with_an_ear_of_its_own(decided_at) as (deaf, way):
        held = deaf.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})
        approval = held.approval_id
        way.cut()
        until(lambda: listeners(deaf) == others, "the third to be deaf")

        decided_at.approve(approval)

        assert not held.answer().is_error
    assert decided_at.upstream.markers[mark] == 1


@pytest.mark.promise("nothing-lost")
def test_hints_that_come_late_change_nothing_any_more(pair: tuple[World, World]) -> None:
    decided_at, _ = pair
    mark = marker()
    with beside_with_an_ear_of_its_own(decided_at) as (slow, way):
        held = slow.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})
        with way.stopped_up():
            decided_at.approve(held.approval_id)
            assert not held.answer().is_error, "the sweep found the decision"

        # What was kept comes before the hints of another call on the same way.
        after = marker()
        late = slow.caller(DAVE).begin("query", {"sql": "delete from x", "marker": after})
        decided_at.approve(late.approval_id)
        assert not late.answer().is_error
        assert (slow.upstream.markers[mark], slow.upstream.markers[after]) == (1, 1)


def test_doubled_foreign_and_broken_hints_do_no_harm(pair: tuple[World, World]) -> None:
    here, there = pair
    before = both_listen(here)
    mark = marker()
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})
    approval = held.approval_id
    doubled, strange = f"x {approval} {approval}", "x " + "\x01é\u2028" * 1200
    for payload in ("", " ", "x", f"x {approval}", doubled, doubled, strange, "x " * 3999):
        for channel in ("holdgate_requests", "holdgate_policy"):
            here.stored.rows("SELECT pg_notify(?, ?)", channel, payload)

    there.approve(approval)

    assert not held.answer().is_error
    assert here.upstream.markers[mark] == 1
    assert listeners(here) == before
