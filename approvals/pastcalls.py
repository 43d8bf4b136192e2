"""From the record to calls that can be judged again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from approvals.config.rules import METHODS
from approvals.rules.backtest import PastCall, past_caller
from sessions.calls import RecordedCall, caller_of_session, calls_of_session, recorded_call, recorded_calls

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.verdicts import Caller

_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
SESSIONS_KEPT = 2000


def past_calls(
    config: Config, since: datetime, until: datetime, *, connection: str = "", limit: int = 0
) -> Iterator[PastCall]:
    """Yield the governed calls of a period, oldest first; of more than `limit` (0: all) the first ones."""
    callers = _callers(config)
    calls = (call for call in recorded_calls(since, until, connection=connection) if call.method in METHODS)
    return (_past(call, callers) for call in islice(calls, limit or None))


def past_calls_of_session(config: Config, session: str, limit: int) -> Iterator[tuple[RecordedCall, PastCall]]:
    """Yield the first governed calls of a session, at most so many, as they were recorded and to be judged again."""
    callers = _callers(config)
    calls = (call for call in calls_of_session(session, limit) if call.method in METHODS)
    return ((call, _past(call, callers)) for call in calls)


def past_call(config: Config, call_id: str) -> PastCall | None:
    """Return one governed call as it was recorded, or None when there is none of this id."""
    call = recorded_call(call_id)
    return _past(call, _callers(config)) if call is not None and call.method in METHODS else None


def _callers(config: Config) -> Callable[[str], Caller | None]:
    """Return a function from a session to who called in it; it remembers."""
    issuers = {issuer.issuer: issuer.name for issuer in config.issuers}

    @lru_cache(maxsize=SESSIONS_KEPT)
    def caller(session: str) -> Caller | None:
        said = _document(caller_of_session(session)) if session else None
        return past_caller(said, issuers)

    return caller


def _past(call: RecordedCall, callers: Callable[[str], Caller | None]) -> PastCall:
    name, arguments = _asked(call)
    return PastCall(
        caller=callers(call.session),
        connection=call.connection,
        method=call.method,
        name=name,
        arguments=arguments,
        at=call.at,
        was=call.verdict,
    )


def _asked(call: RecordedCall) -> tuple[str, Any]:
    """Return name and arguments of a recorded request; None for what was erased."""
    request = _document(call.request)
    if request is None:
        return call.tool, None
    params = request.get("params") or {}
    key = _NAMED.get(call.method)
    if key == "uri":
        return str(params.get("uri", "")), {"uri": params.get("uri", "")}
    name = str(params.get(key, "")) if key else call.tool
    return name, params.get("arguments", params if key is None else {}) or {}


def _document(body: bytes | None) -> dict[str, Any] | None:
    found = None if body is None else orjson.loads(body)
    return found if isinstance(found, dict) else None
