"""`/healthz`: the process lives. `/readyz`: it may be sent traffic; the body lists every check."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from approvals.reachability import unreachable_quorums
from approvals.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

WRITER_SECONDS = 5.0


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every check holds, else 503. Quorum gaps are told and do not count: calls are still held."""
    checks = {name: _outcome(check) for name, check in _CHECKS.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    body = {
        "ready": ready,
        "checks": checks,
        "quorum": unreachable_quorums(runtime().policies.current.policy) if ready else [],
    }
    return JsonResponse(body, status=200 if ready else 503)


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"


def _migrated() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if not missing else f"{len(missing)} migrations are missing; run manage.py migrate"


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


_CHECKS: dict[str, Callable[[], str]] = {
    "migrated": _migrated,
    "configured": _configured,
    "recording": _recording,
}
