"""Random uses of Idempotency-Keys against a model: what a key answers, and that a key never serves two calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from approvals import keyed
from approvals.keyed import Conflict, Found, Interrupted, KeyTaken, Known, New, Running
from approvals.models import KeyedCall
from approvals.runtime import Runtime, runtime
from sessions.events import Event
from sessions.ids import uuid7
from sessions.models import OpenCall
from tests.engine import GUARD, Later, engine, wait_until_one_is_blocked
from tests.record import Gate

__all__ = ["engine"]

KEYS = st.sampled_from(["k1", "k1", "k1", "k2"])
CALLS = st.sampled_from(["delete a", "delete b"])


@dataclass
class Taken:
    """One key as the model knows it: whose it is, and how far that call has come."""

    call: str
    call_id: str
    is_open: bool = True
    answer: bytes | None = None


class Keys(RuleBasedStateMachine):
    """Keys of one caller on one connection, for calls that are allowed and calls that are held."""

    def __init__(self) -> None:
        super().__init__()
        KeyedCall.objects.all().delete()
        OpenCall.objects.all().delete()
        self.journal = runtime().journal
        self.allowed: dict[str, Taken] = {}
        self.held: dict[str, str] = {}

    def is_foreign(self, key: str, call: str) -> bool:
        known = self.allowed.get(key)
        return (known is not None and known.call != call) or self.held.get(key, call) != call

    @rule(key=KEYS, call=CALLS)
    def use(self, key: str, call: str) -> None:
        call_id, known = uuid7(), self.allowed.get(key)

        def work() -> tuple[Found, Sequence[Event]]:
            found = keyed.take(key, call, call_id)
            return found, [Event(kind="call.intent", call_id=call_id)] if isinstance(found, New) else []

        found = self.journal.transact_now(work)
        if self.is_foreign(key, call):
            assert found == Conflict()
        elif known is None:
            assert found == New()
            self.allowed[key] = Taken(call, call_id)
        elif known.answer is not None:
            assert found == Known(known.call_id, known.answer)
        else:
            assert found == (Running if known.is_open else Interrupted)(known.call_id)

    @rule(key=KEYS, call=CALLS)
    def use_for_a_held_call(self, key: str, call: str) -> None:
        foreign = self.is_foreign(key, call)

        def work() -> tuple[None, Sequence[Event]]:
            keyed.take_for_held(key, call, uuid7())
            return None, ()

        try:
            self.journal.transact_now(work)
        except KeyTaken:
            assert foreign
        else:
            assert not foreign
            self.held[key] = call

    @rule(key=KEYS, how=st.sampled_from(["answered", "not executed", "unknown"]))
    def end(self, key: str, how: str) -> None:
        known = self.allowed.get(key)
        if known is None or not known.is_open:
            return
        kind = {"answered": "call.result", "not executed": "call.failed", "unknown": "call.unknown"}[how]
        known.is_open = False

        def work() -> tuple[None, Sequence[Event]]:
            if how == "answered":
                keyed.keep(key, known.call_id, b"{}")
            if how == "not executed":
                keyed.release(key, known.call_id)
            return None, [Event(kind=kind, call_id=known.call_id)]

        self.journal.transact_now(work)
        known.answer = b"{}" if how == "answered" else None
        if how == "not executed":
            del self.allowed[key]

    @rule(key=KEYS)
    def late_end_of_another_call_changes_nothing(self, key: str) -> None:
        keyed.keep(key, uuid7(), b"forged")
        keyed.release(key, uuid7())

    @rule(swept=st.booleans())
    def a_day_passes(self, swept: bool) -> None:
        KeyedCall.objects.update(created_at=F("created_at") - timedelta(hours=25))
        if swept:  # else each use forgets by itself
            keyed.forget_old()
            assert not KeyedCall.objects.exists()
        self.allowed.clear()
        self.held.clear()

    @invariant()
    def each_key_in_use_has_its_row(self) -> None:
        answers = {one.scope: one.answer for one in KeyedCall.objects.filter(scope__in=list(self.allowed))}
        kept = {key: None if answer is None else bytes(answer) for key, answer in answers.items()}
        assert kept == {key: known.answer for key, known in self.allowed.items()}


@pytest.mark.promise("nothing-lost")
def test_a_key_says_what_became_of_its_call_and_never_serves_another(engine: Runtime) -> None:
    run_state_machine_as_test(
        Keys,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("ending", ["kept", "released"])
def test_a_call_that_ends_while_its_key_is_looked_at_is_not_taken_for_interrupted(ending: str, engine: Runtime) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite one transaction at a time writes")
    engine.journal.transact_now(lambda: (keyed.take("k", "call", "c1"), [Event(kind="call.intent", call_id="c1")]))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE mcp_sessions_opencall IN ACCESS EXCLUSIVE MODE")
        repeat = Later(lambda: engine.journal.transact_now(lambda: (keyed.take("k", "call", "c2"), ())))
        wait_until_one_is_blocked("relation")
        if ending == "kept":
            keyed.keep("k", "c1", b"{}")
        else:
            keyed.release("k", "c1")
        OpenCall.objects.filter(call_id="c1").delete()
    assert repeat.result() == (Known("c1", b"{}") if ending == "kept" else New())


@pytest.mark.promise("nothing-lost")
def test_two_calls_with_one_key_in_one_transaction_of_the_writer_are_one_that_runs(engine: Runtime) -> None:
    def begin(call_id: str) -> tuple[Found, Sequence[Event]]:
        found = keyed.take("k", "call", call_id)
        return found, [Event(kind="call.intent", call_id=call_id)] if isinstance(found, New) else []

    async def both() -> list[Found]:
        gate = Gate()
        busy = asyncio.create_task(engine.journal.transact(gate))
        await asyncio.to_thread(gate.reached.wait, GUARD)
        queued = [asyncio.create_task(engine.journal.transact(partial(begin, name))) for name in ("c1", "c2")]
        await asyncio.sleep(0)
        gate.open()
        await busy
        return list(await asyncio.gather(*queued))

    assert asyncio.run(both()) == [New(), Running("c1")]
