"""`/healthz`: the process lives. `/readyz`: it may be sent traffic; the body lists every check."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from approvals.database import database_now
from approvals.notices.health import broken_routes
from approvals.reachability import unreachable_quorums
from approvals.runtime import runtime
from gatewayproj.soundness import record_guard
from proxy.tunnel.registry import problems as agent_problems
from sessions import installation
from sessions.evidence.standing import LATE
from sessions.journal import RecordUnavailable
from sessions.outside import feeding
from sessions.progress import waits_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.policy import Policy

WRITER_SECONDS = 5.0
GAPS_SECONDS = 30.0


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every check holds, else 503.

    Quorum gaps and broken routes are told and do not count: calls are still held, and the dashboard shows them. So are
    agents that are away, without which only their own connections fail; a log that is not extended, for calls are
    recorded; and how this process could change the record, unless HOLDGATE_HARDENED is set.
    """
    checks = {name: _outcome(check) for name, check in _CHECKS.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    body = {
        "ready": ready,
        "checks": checks,
        "signing": _signing() if ready else "not looked at",
        "guard": _guarded() if ready else [],
        "anchors": anchor_problems() if ready else [],
        "quorum": _gaps.of(runtime().policies.current.policy) if ready else [],
        "routes": _routes.of(runtime().policies.current.policy) if ready else [],
        "agents": agent_problems(runtime().policies.current.policy.config) if ready else [],
    }
    return JsonResponse(body, status=200 if ready else 503)


class _Told:
    """What was found of a policy, for a while: the look is dear, and anybody may ask."""

    def __init__(self, look: Callable[[Policy], list[str]]) -> None:
        self._look = look
        self._found: list[str] = []
        self._of: Policy | None = None
        self._until = 0.0

    def of(self, policy: Policy) -> list[str]:
        """Return one sentence for each finding."""
        if self._of is not policy or time.monotonic() >= self._until:
            self._found, self._of = self._look(policy), policy
            self._until = time.monotonic() + GAPS_SECONDS
        return self._found


_gaps = _Told(unreachable_quorums)
_routes = _Told(lambda policy: broken_routes(policy.config, brief=True))


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    except RecordUnavailable:
        return "the record does not commit"


_is_migrated = False


def _migrated() -> str:
    """Look until it is so, and then no more: reading all migrations is dear, and anybody may ask."""
    global _is_migrated
    missing = 0 if _is_migrated else _missing_migrations()
    _is_migrated = not missing
    return "ok" if not missing else f"{missing} migrations are missing; run manage.py migrate"


def _missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _configured() -> str:
    revision = runtime().policies.reload().revision
    return "ok" if revision else "no policy is published; apply a holdgate.yaml"


def _recording() -> str:
    journal = runtime().journal
    if journal.last_commit_age() > WRITER_SECONDS:
        started = time.monotonic()
        journal.transact_now(lambda: (None, ()))
        if time.monotonic() - started > settings.RECORD_TIMEOUT:
            return "the record does not commit"
    return "ok"


def _signing() -> str:
    """Say whether this process could sign the log, or leaves it to another. What is wrong stands in its log."""
    sequencer = runtime().sequencer
    if sequencer is not None and sequencer.error:
        return "the log is not extended; this process's log says why"
    if settings.HARDENED and is_unsigned():
        return "the log is not extended; look at `manage.py run_sequencer`"
    return "ok"


def is_unsigned() -> bool:
    """Say whether an entry has waited for its place in the log for more than a minute."""
    since = waits_since(connection)
    return since is not None and database_now() - since > LATE


def anchor_problems() -> list[str]:
    """Return one sentence for each anchor beside the file that failed, or lags."""
    places = installation.places()
    return feeding.problems(places, database_now()) if places else []


_guard: tuple[float, list[str]] = (float("-inf"), [])


def _guarded() -> list[str]:
    """Return how this process could change the record; looked up twice a minute, for anybody may ask."""
    global _guard
    if time.monotonic() >= _guard[0]:
        _guard = time.monotonic() + GAPS_SECONDS, record_guard()
    return _guard[1]


def _hardened() -> str:
    """Count the guard of the record only where it was asked for."""
    return "; ".join(_guarded() if settings.HARDENED else ()) or "ok"


_CHECKS: dict[str, Callable[[], str]] = {
    "hardened": _hardened,
    "migrated": _migrated,
    "configured": _configured,
    "recording": _recording,
}
