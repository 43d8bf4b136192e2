"""The address to which Slack sends clicks: proven by signature over the raw body, answered within three seconds."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import TYPE_CHECKING, Any, Final

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from approvals import secret_reader
from approvals.runtime import runtime
from approvals.secrets import SecretUnavailable
from approvals.services import NOT_KNOWN_YET
from approvals.slack import modals
from approvals.slack.interactions import handle
from approvals.slack.signature import is_from_slack

if TYPE_CHECKING:
    from approvals.config.channels import Slack
    from approvals.runtime import Runtime

log = logging.getLogger("holdgate.slack")

MAX_BODY: Final = 1 << 20
FORM: Final = "application/x-www-form-urlencoded"
# Slack waits for three seconds.
PATIENCE: Final = 2.3
_WORKERS: Final = 4
_WAITING: Final = 32
_threads = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="holdgate-slack")
_places = threading.BoundedSemaphore(_WORKERS + _WAITING)


class Busy(Exception):
    """So many clicks are at work that another one would not be answered in time."""


@csrf_exempt
@require_POST
def interactions(request: HttpRequest) -> HttpResponse:
    """Take a click. Whoever cannot prove to be Slack learns nothing but that."""
    house = runtime()
    if status := _unproven(request, house.policies.current.policy.config.channels.slack):
        return HttpResponse(status=status)
    try:
        payload = json.loads(QueryDict(request.body).get("payload", ""))
        answer = answered(house, payload)
    except (ValueError, RecursionError):
        return HttpResponse(status=400)
    except Busy:
        return HttpResponse(status=503)
    return JsonResponse(answer) if answer else HttpResponse(status=200)


def _unproven(request: HttpRequest, config: Slack | None) -> int:
    """Return the status by which a request is turned away, or 0 for one that comes from Slack."""
    if config is None or config.mode != "http" or config.signing_secret is None:
        return 404
    if request.content_type != FORM:
        return 415
    if int(request.headers.get("Content-Length") or 0) > MAX_BODY or len(request.body) > MAX_BODY:
        return 413
    try:
        secret = secret_reader.configured().read(config.signing_secret).reveal()
    except SecretUnavailable as error:
        log.error("the signing secret of Slack is not available: %s", error)
        return 503
    signed = (request.headers.get("X-Slack-Request-Timestamp", ""), request.headers.get("X-Slack-Signature", ""))
    return 0 if is_from_slack(secret, request.body, *signed) else 401


def answered(house: Runtime, payload: Any, patience: float = PATIENCE) -> dict[str, Any]:
    """Work on a delivery and return its acknowledgement, after so many seconds at most.

    What takes longer goes on; a click is then answered to the user when it is done, and a modal says that it is not
    known yet. Raises Busy, and what the work raised.
    """
    if not _places.acquire(blocking=False):
        raise Busy
    work = _threads.submit(_in_database, house, payload)
    work.add_done_callback(_done)
    try:
        return work.result(patience)
    except TookTooLong:
        log.warning("a click in Slack takes longer than Slack waits")
        is_modal = isinstance(payload, dict) and payload.get("type") == "view_submission"
        return modals.errors(modals.COMMENT, NOT_KNOWN_YET) if is_modal else {}


def _done(work: Future[dict[str, Any]]) -> None:
    _places.release()
    if error := work.exception():  # said here, for whoever waited may have gone
        log.error("a click in Slack failed: %s", type(error).__name__)


def _in_database(house: Runtime, payload: Any) -> dict[str, Any]:
    close_old_connections()  # one that broke; a sound one is kept
    return handle(house, payload)
