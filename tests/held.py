"""A small house for tests of pages and API: a policy in force, people who signed in, and calls that wait.

Import the fixture into a test module: `from tests.held import house  # noqa: F401`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from django.test import Client

from approvals import keys
from approvals.catalogue import pinning
from approvals.config.loader import load
from approvals.database import database_now
from approvals.holding import Ask, call_digest, open_or_join
from approvals.models import ApprovalRequest, Person
from approvals.publication import publish
from approvals.runtime import Runtime, runtime, shut_down
from approvals.seen import view_digest
from approvals.services import Decided, decide
from approvals.standing import caller_of
from approvals.verdicts import Call, Caller, Hold
from sessions.events import Event, Payload
from sessions.ids import uuid7
from sessions.models import RecordedSession
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, Human, config_yaml

ISS = "https://id.example.com"
SQL = "DELETE FROM orders\nWHERE status = 'cancelled'\n  AND created_at < '2026-01-01';"
RULES: list[dict[str, Any]] = [
    {
        "name": "writes-need-a-dba",
        "action": "hold",
        "match": {"connections": [CONNECTION], "tools": ["query"]},
        "message": "Writes to production need somebody from the database team.",
        "approval": {"require": {"any_of": [{"groups": ["dba"], "count": 1}]}, "expires_after": "30m"},
    },
    {
        "name": "drops-need-two",
        "action": "hold",
        "match": {"connections": [CONNECTION], "tools": ["drop_table"]},
        "approval": {
            "require": {"all_of": [{"groups": ["dba"], "count": 1}, {"groups": ["security"], "count": 1}]},
            "expires_after": "30m",
        },
    },
]
HENRY = Human("henry", "Henry Hale", ("engineering",))


@pytest.fixture
def house(transactional_db: None) -> Iterator[Runtime]:
    """A runtime of this test alone, with the policy of the cast and the rules above in force."""
    shut_down()
    publish_policy()
    yield runtime()
    shut_down()


def policy_text(**blocks: Any) -> str:
    """Return the configuration of the cast with the rules above; further blocks replace its own."""
    return config_yaml(ISS, "http://127.0.0.1:9/mcp", **{"rules": RULES, **blocks})


def publish_policy(**blocks: Any) -> None:
    """Bring the policy into force."""
    running = runtime()
    publish(running.journal, running.policies, load(policy_text(**blocks)), author="tests")


def anonymous(**options: Any) -> Client:
    """Return a browser in which nobody is signed in. It calls the gateway by a name of this machine."""
    return Client(headers={"host": "localhost"}, **options)


def browser(human: Human, **options: Any) -> Client:
    """Return a browser in which one of the cast is signed in."""
    client = anonymous(**options)
    client.force_login(signed_in(human))
    return client


def listed(*tools: dict[str, Any], at: Runtime | None = None, connection: str = CONNECTION) -> bool:
    """Let a process see a server's list of tools; say whether that changed the pins."""
    process = at or runtime()
    snapshot = process.policies.reload()
    seen = pinning.prepared({one["name"]: one for one in tools}, snapshot.outlet(connection))
    return process.journal.transact_now(lambda: pinning.note(connection, seen, snapshot))


def bearer(authorization: str) -> Client:
    """Return a program that calls the API with this Authorization header."""
    return Client(headers={"host": "localhost", "authorization": authorization})


def publish_with_keys(issuer: FakeIssuer, folder: Path) -> None:
    """Bring the policy into force for an issuer that is not there but for its published keys, in files."""
    document = yaml.safe_load(policy_text())
    for entry, source in zip(document["issuers"], (issuer, issuer.github), strict=True):
        path = folder / f"{entry['name']}.json"
        path.write_text(json.dumps(source.jwks()), encoding="utf-8")
        entry["jwks_uri"] = f"file:{path}"
    publish_policy(issuers=document["issuers"])


def signed_in(human: Human) -> Person:
    """Return one of the cast as somebody who signed in just now."""
    now = database_now()
    return Person.objects.seen(
        iss=ISS,
        sub=human.sub,
        email=human.email,
        display=human.name,
        issuer_groups=[f"corp/{group}" for group in human.groups],
        issuer_groups_at=now,
        last_seen_at=now,
    )


def caller(human: Human = HENRY, **changes: Any) -> Caller:
    """Return one of the cast as a caller of the data path."""
    groups = frozenset(f"corp/{group}" for group in human.groups)
    made = Caller(iss=ISS, sub=human.sub, kind="person", groups=groups, display=human.name, issuer="corp")
    return replace(made, **changes)


def held(
    by: Caller | None = None, *, tool: str = "query", reason: str = "", session: str = "", **arguments: Any
) -> ApprovalRequest:
    """Hold a call and return the request that waits for people.

    Each call is another one, also when it is identical.
    """
    running = runtime()
    snapshot = running.policies.current
    call = Call(
        caller=by or caller(),
        connection=CONNECTION,
        method="tools/call",
        name=tool,
        arguments=arguments or {"sql": SQL, "dry_run": False},
    )
    verdict, kept = snapshot.policy.judged(call)
    assert isinstance(verdict, Hold), verdict
    document, outlet = json.dumps(call.arguments), snapshot.outlet(CONNECTION)
    message = {"method": call.method, "params": {"name": tool, "arguments": call.arguments}}
    payloads = {"request": outlet.value_for_record(message)}
    if kept is not None:
        payloads["judged"] = outlet.judged_for_record(kept)
    ask = Ask(
        call_id=uuid7(),
        session=session,
        call=call,
        hold=verdict,
        tool=tool,
        call_digest=call_digest(call, document.encode(), ""),
        tool_digest="",
        arguments=document,
        payloads=payloads,
        reason=reason,
        process=running.journal.process_id,
    )
    request = running.journal.transact_now(lambda: open_or_join(ask, snapshot))
    running.waiting.hint([request.pk])
    return request


def request_of(tool: str, arguments: Any) -> Payload:
    """Return a request as the record has it."""
    return Payload(json.dumps({"method": "tools/call", "params": {"name": tool, "arguments": arguments}}).encode())


def voted(human: Human, request: ApprovalRequest, decision: Literal["approve", "deny"], comment: str = "") -> None:
    """Let one of the cast vote on the dashboard, on what it shows now."""
    running = runtime()
    approver = caller_of(signed_in(human), running.policies.current.policy)
    outcome = decide(
        running,
        approval_id=request.pk,
        approver=approver,
        decision=decision,
        comment=comment,
        via="dashboard",
        view=view_digest(request),
    )
    assert isinstance(outcome, Decided), outcome
    request.refresh_from_db()


def recorded(house: Runtime) -> RecordedSession:
    """Record a session of Henry's with one answered call."""
    actor = keys.actor(caller(HENRY).key)
    session = RecordedSession.objects.create(
        id="s-1", actor=actor, connection="orders-db", run="nightly", started_at=held().created_at
    )
    for kind, payloads in (
        ("call.intent", {"request": {"sql": "DELETE"}, "actor": {"display": "Henry Hale"}}),
        ("call.result", {"answer": {"text": "seven rows"}}),
    ):
        bodies = {name: Payload(json.dumps(body).encode()) for name, body in payloads.items()}
        house.journal.append_now(
            Event(kind=kind, call_id="c-1", session="s-1", tool="query", actor=actor, payloads=bodies)
        )
    return session
