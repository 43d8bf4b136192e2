"""The approval engine on a real database: held calls with every handle, votes, other processes, faults of the database.

Import the fixture into a test module: `from tests.engine import engine  # noqa: F401`. Which rules hold a call is told
by its tool's name, see RULES. The cast is that of `tests.people`; Henry asks.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.models import DateTimeField, F

from approvals import services
from approvals.config.loader import load
from approvals.holding import Ask, call_digest, claim, finish, open_or_join
from approvals.models import ApprovalRequest, Person
from approvals.publication import CURRENT_REVISION, publish
from approvals.recovery import end_late
from approvals.runtime import Runtime, runtime, shut_down
from approvals.standing import caller_of
from approvals.states import Status
from approvals.verdicts import Call, Caller, Hold
from sessions import leaf as leaves
from sessions.events import Event
from sessions.ids import uuid7
from sessions.journal import Journal
from sessions.models import Entry
from tests.held import caller, policy_text, signed_in
from tests.people import ALICE, BOB, CAROL, CONNECTION, DAVE, Human

T = TypeVar("T")
GUARD = 20.0


def holds(name: str, require: Any, tools: Sequence[str] = (), **terms: Any) -> dict[str, Any]:
    """Return a rule that holds the tool of its own name, or these tools."""
    approval = {"require": require, **terms}
    return {"name": name, "action": "hold", "match": {"tools": [*tools] or [name]}, "approval": approval}


def places(*found: tuple[str, int]) -> list[dict[str, Any]]:
    """Return places or alternatives: so many people of this group."""
    return [{"groups": [group], "count": count} for group, count in found]


def one_of(group: str, count: int = 1) -> dict[str, Any]:
    """Return what asks so many people of one group; made anew, for YAML writes shared parts as aliases."""
    return {"any_of": places((group, count))}


RULES = [
    holds("one", one_of("dba")),
    holds("two", one_of("dba", 2)),
    holds("either", {"any_of": places(("dba", 2), ("security", 1))}),
    holds("both", {"all_of": places(("dba", 1), ("security", 1))}),
    holds("each-dba", one_of("dba"), ["each"]),
    holds("each-security", one_of("security"), ["each"]),
    holds("commented", one_of("dba"), comment="required"),
    holds("silent", one_of("dba"), comment="optional"),
    holds("on-the-dashboard", one_of("dba"), ["dashboard"], decide_in=["dashboard"]),
]


def rule_on(text: dict[str, Any], name: str = "one") -> list[dict[str, Any]]:
    """Return RULES with the rule of this name replaced."""
    return [text if rule["name"] == name else rule for rule in RULES]


LOCAL = {"dba": [ALICE, BOB], "security": [CAROL], "platform": [DAVE]}


def groups(**changed: list[Human]) -> dict[str, Any]:
    """Return the local groups of the cast, some of them with other members."""
    return {name: {"members": [human.email for human in members]} for name, members in {**LOCAL, **changed}.items()}


@pytest.fixture
def engine(transactional_db: None) -> Iterator[Runtime]:
    """A runtime of this test alone, with the policy of the cast and the rules above in force."""
    shut_down()
    try:
        bring_into_force()
        yield runtime()
    finally:
        shut_down()


def bring_into_force(**blocks: Any) -> None:
    """Publish the policy of the cast with RULES; further blocks replace its own."""
    text = policy_text(**{"rules": RULES, **blocks})
    publish(runtime().journal, runtime().policies, load(text), author="tests")


def ask(tool: str = "one", by: Caller | None = None, house: Runtime | None = None, **handles: Any) -> Ask:
    """Return what a call of this tool asks, by the policy in force; `handles` are members of Ask."""
    snapshot = (house or runtime()).policies.reload()
    arguments = handles.pop("arguments", {"sql": "delete from customers"})
    call = Call(caller=by or caller(), connection=CONNECTION, method="tools/call", name=tool, arguments=arguments)
    verdict = snapshot.policy.judge(call)
    assert isinstance(verdict, Hold), verdict
    document = json.dumps(arguments, sort_keys=True)
    tool_digest = handles.pop("tool_digest", "")
    made = {
        "call_id": uuid7(),
        "session": "",
        "call": call,
        "hold": verdict,
        "tool": tool,
        "call_digest": call_digest(call, document.encode(), tool_digest),
        "tool_digest": tool_digest,
        "arguments": document,
        "payloads": {},
        "process": (house or runtime()).journal.process_id,
    }
    return Ask(**{**made, **handles})


def opened(asked: Ask, house: Runtime | None = None) -> ApprovalRequest:
    """Open a request for the call, or join one."""
    process = house or runtime()
    snapshot = process.policies.current
    return process.journal.transact_now(lambda: open_or_join(asked, snapshot))


def fresh(tool: str = "one", **handles: Any) -> ApprovalRequest:
    """Open a request of a call that is identical to none before."""
    return opened(ask(tool, arguments={"marker": uuid7()}, **handles))


def approver(human: Human, **changes: Any) -> Caller:
    """Return one of the cast as they are after signing in just now; `changes` are members of the person."""
    person = signed_in(human)
    Person.objects.filter(pk=person.pk).update(**changes)
    person.refresh_from_db()
    return caller_of(person, runtime().policies.reload().policy)


def vote(
    request: ApprovalRequest,
    by: Human | Caller,
    decision: Any = "approve",
    *,
    house: Runtime | None = None,
    **more: Any,
) -> services.Outcome:
    """Let somebody decide; a denial comes with a comment unless one is given."""
    who = approver(by) if isinstance(by, Human) else by
    said = {"comment": "not today"} if decision != "approve" else {}
    return services.decide(
        house or runtime(), approval_id=request.pk, approver=who, decision=decision, **{"via": "api", **said, **more}
    )


def intent(request: ApprovalRequest, **more: Any) -> Event:
    """Return the entry that stands in the transaction of a claim."""
    return Event(kind="call.intent", call_id=request.call_id, facts={"approval": request.pk}, **more)


def claimed(request: ApprovalRequest, house: Runtime | None = None) -> str:
    """Claim the request with its intent, as the data path does; return the claim, empty when it is not to be had."""
    process = house or runtime()
    snapshot = process.policies.reload()

    def work() -> tuple[str, Sequence[Event]]:
        token, events = claim(request.pk, snapshot)
        return token, [*events, *([intent(request)] if token else [])]

    return process.journal.transact_now(work)


def finished(
    request: ApprovalRequest,
    token: str,
    new: Status = Status.EXECUTED,
    *,
    house: Runtime | None = None,
    **changes: Any,
) -> bool:
    """End a claimed call with its entry, as the data path does; say whether the claim was still ours."""
    made: dict[str, Any] = {"executed": "true", "result": b'{"rows": 3}', "heard": True, **changes}

    def work() -> tuple[bool, Sequence[Event]]:
        ours = finish(request.pk, token, new, **made)
        return ours, [Event(kind="call.result", call_id=request.call_id, facts={"approval": request.pk})]

    return (house or runtime()).journal.transact_now(work)


def status(request: ApprovalRequest) -> str:
    """Return where the request stands in the database."""
    request.refresh_from_db()
    return request.status


def at(wanted: Status, tool: str = "one") -> ApprovalRequest:
    """Return a request that stands at this status, put there and not walked there."""
    request = fresh(tool)
    execute_by = request.created_at + timedelta(minutes=10) if wanted is Status.APPROVED else None
    ApprovalRequest.objects.filter(pk=request.pk).update(status=wanted.value, execute_by=execute_by)
    request.refresh_from_db()
    return request


def pass_time(request: ApprovalRequest, **span: float) -> None:
    """Let time pass for one request: every one of its timers lies so much further back."""
    ago = timedelta(**span)
    timers = [field.name for field in ApprovalRequest._meta.concrete_fields if isinstance(field, DateTimeField)]
    ApprovalRequest.objects.filter(pk=request.pk).update(**{name: F(name) - ago for name in timers})


def recorded(request: ApprovalRequest) -> list[str]:
    """Return the kinds of the entries about this request, in the order in which they were written."""
    found = [leaves.decode(bytes(row)) for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]
    return [leaf.kind for leaf in found if leaf.facts.get("approval") == request.pk]


@contextlib.contextmanager
def another_process(timeout: float = GUARD) -> Iterator[Runtime]:
    """Run a second gateway process's engine: its own writer, its own policy in memory, its own waiters.

    `timeout` is that of its record, in seconds.
    """
    journal = Journal(
        origin=settings.ORIGIN, build="test", timeout=timeout, revision=CURRENT_REVISION, on_late=end_late
    )
    journal.start()
    try:
        yield Runtime(journal)
    finally:
        journal.stop()


def together(works: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Do all of this at the same moment, each in a thread with its own connection; return what came of each."""
    barrier = threading.Barrier(len(works))
    results: list[T | Exception] = [RuntimeError("has not ended")] * len(works)

    def one(index: int, work: Callable[[], T]) -> None:
        try:
            barrier.wait(GUARD)
            results[index] = work()
        except Exception as error:  # noqa: BLE001 - it is the result
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(index, work)) for index, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    return results


class Later:
    """Work in a thread of its own, begun at once; its result is asked for later."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._result: Any = None
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._result = work()
        finally:
            connections.close_all()

    def result(self) -> Any:
        """Wait for the work and return its result."""
        self._thread.join(GUARD)
        assert not self._thread.is_alive()
        return self._result


def wait_until_one_is_blocked(by: str = "transactionid") -> None:
    """Block until a session waits for a lock of this kind; SQLite shows nobody who waits."""
    deadline = time.monotonic() + GUARD
    while connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = %s", [by])
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < deadline, "nobody waits for the lock"
        time.sleep(0.01)


@contextlib.contextmanager
def refusing(table: str, operation: str) -> Iterator[None]:
    """Make the database refuse every INSERT or UPDATE of a table, as a full disk or a broken index does."""
    name = "test_refuses"
    sqlite = f"CREATE TRIGGER {name} BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
    function = f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$"
    trigger = f"CREATE TRIGGER {name} BEFORE {operation} ON {table} EXECUTE FUNCTION {name}()"
    is_sqlite = connection.vendor == "sqlite"
    _run(*([sqlite] if is_sqlite else [function, trigger]))
    try:
        yield
    finally:
        _run(f"DROP TRIGGER {name}" if is_sqlite else f"DROP FUNCTION {name}() CASCADE")


def _run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
