"""A recorded session to read: a call that was allowed, one that was held, approved and run, one that was blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings

from approvals import keys
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from sessions import installation, logkey
from sessions.events import Event, Payload
from sessions.models import RecordedSession
from sessions.search import index
from sessions.sequencer import Sequencer
from tests.held import HENRY, ISS, caller, held, request_of, voted
from tests.people import ALICE, CONNECTION
from tests.record import Log

SESSION: Final = "s-1"
ACTOR: Final = keys.actor(caller(HENRY).key)


@pytest.fixture
def log(house: Runtime) -> Iterator[Log]:
    """The log of this house, with the key and the anchor that its pages look at."""
    state = Path(settings.STATE_DIR)
    signer = logkey.ensure(state / "keys" / "log.key", settings.ORIGIN)
    anchor = installation.anchor()
    anchor.path.unlink(missing_ok=True)
    made = Log(signer, anchor, Sequencer(signer, [anchor]))
    yield made
    made.sequencer.resign()
    anchor.path.unlink(missing_ok=True)


def entry(house: Runtime, kind: str, call: str = "", **more: Any) -> Event:
    """Return an entry of this session under the policy in force."""
    told = {"session": SESSION, "actor": ACTOR, "connection": CONNECTION, "method": "tools/call", "tool": "query"}
    current = house.policies.current
    return Event(
        kind=kind,
        call_id=call,
        **{**told, "policy_revision": current.revision, "policy_digest": current.digest, **more},
    )


def replayed(house: Runtime, log: Any) -> ApprovalRequest:
    """Record the session and return the request of the held call."""
    who = {"iss": ISS, "sub": "henry", "kind": "person", "display": "Henry Hale", "groups": ["corp/engineering"]}
    started = entry(
        house, "session.started", method="", tool="", payloads={"caller": Payload(json.dumps(who).encode())}
    )
    house.journal.append_now(
        started,
        entry(house, "call.intent", "c-read", facts={"verdict": "allow", "rules": ["reads"], "masked": ["email:1"]},
              payloads={"request": request_of("query", {"sql": "SELECT * FROM orders"})}),
        entry(house, "call.result", "c-read", facts={"executed": "true", "exposed": ["iban:2"], "masked": ["email:9"]},
              payloads={"answer": Payload(b'{"text":"seven rows"}')}),
    )  # fmt: skip
    request = held(session=SESSION, sql="DELETE FROM orders WHERE id = 815")
    voted(ALICE, request, "approve", "ticket 42")
    facts = {"approval": request.pk, "call": request.call_digest, "verdict": "hold", "rules": [request.rule]}
    house.journal.append_now(
        entry(house, "call.intent", request.call_id, facts=facts),
        entry(house, "call.result", request.call_id, facts={"approval": request.pk, "executed": "true"},
              payloads={"answer": Payload(b'{"text":"one row deleted"}')}),
        entry(house, "call.blocked", "c-drop", tool="drop_table", facts={"rules": ["never"], "reason": "blocked"},
              payloads={"request": request_of("drop_table", {"table": "orders"})}),
    )  # fmt: skip
    log.sequencer.run_once()
    index.index_up()
    assert RecordedSession.objects.get().pk == SESSION
    return request
