"""`/metrics`: what this process counted, for Prometheus. For the bearer of its token, or for this machine alone."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Final

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from approvals.database import database_now
from approvals.models import ApprovalRequest, OutboundMessage, Review
from approvals.notices.models import RouteState
from approvals.origins import Own, host_allowed
from approvals.runtime import runtime
from approvals.states import Status
from approvals.streams.following import standings
from gatewayproj import metrics
from gatewayproj.health import is_unsigned
from proxy.models import Agent
from proxy.tunnel.registry import is_connected, servers_of
from sessions import installation
from sessions.models import AnchorState, Entry, SequencerState

UNSIGNED_AT_MOST: Final = 10_000
_LOOKED_UP: Final = (
    metrics.signing,
    metrics.pending,
    metrics.owed,
    metrics.unsigned,
    metrics.unsigned_seconds,
    metrics.queued,
    metrics.queued_seconds,
)
PASSED_ON: Final = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")


def page(request: HttpRequest) -> HttpResponse:
    """Answer with the text format of Prometheus; 401 or 403 with a line that says what is missing."""
    if settings.METRICS_TOKEN:
        if not _shows_the_token(request):
            refused = HttpResponse("Show HOLDGATE_METRICS_TOKEN as a bearer token.\n", "text/plain", 401)
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
    elif not _is_from_here(request):
        return HttpResponse("Set HOLDGATE_METRICS_TOKEN to read this from elsewhere.\n", "text/plain", 403)
    _look()
    return HttpResponse(generate_latest(metrics.registry), CONTENT_TYPE_LATEST)


def _shows_the_token(request: HttpRequest) -> bool:
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and secrets.compare_digest(shown.strip().encode(), settings.METRICS_TOKEN.encode())


def _is_from_here(request: HttpRequest) -> bool:
    """Say whether a program of this machine asks by itself: a proxy in front is also one, and asks for others."""
    local_name = host_allowed(request.headers.get("Host", ""), Own(""))
    if not local_name or any(name in request.headers for name in PASSED_ON):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _look() -> None:
    """Set what is not counted but looked up. Without the database the rest is still told."""
    house = runtime()
    metrics.look_at_failures(house.journal)
    metrics.revision.set(house.policies.current.revision)
    metrics.hears.set(house.listener is not None and house.listener.hears)
    try:
        metrics.signing.set(not house.sequencer.error if house.sequencer is not None else not is_unsigned())
        metrics.pending.set(ApprovalRequest.objects.filter(status=Status.PENDING).order_by().count())
        metrics.owed.set(Review.objects.filter(closed_at=None).count())
        _look_at_the_log()
        _look_at_the_outbox()
        _look_at_the_streams()
        _look_at_agents()
        if settings.ANCHORS:
            _look_at_anchors()
    except DatabaseError:
        for gauge in _LOOKED_UP:
            gauge.set(float("nan"))


def _look_at_the_log() -> None:
    state = SequencerState.objects.filter(id=1).first()
    rest = Entry.objects.filter(pk__gt=state.low_water if state else 0, place=None).order_by("pk")
    times = list(rest.values_list("ts", flat=True)[:UNSIGNED_AT_MOST])
    metrics.unsigned.set(len(times))
    metrics.unsigned_seconds.set((database_now() - times[0]).total_seconds() if times else 0)


def _look_at_the_streams() -> None:
    for one in standings(runtime().policies.current.policy.config):
        metrics.stream_behind.labels(one.name).set(one.behind)
        metrics.stream_seconds.labels(one.name).set(one.seconds)
        metrics.stream_failures.labels(one.name).set(one.attempts)


def _look_at_agents() -> None:
    metrics.agent_there.clear()
    metrics.agent_fails.clear()
    for agent in Agent.objects.filter(revoked_at=None):
        metrics.agent_there.labels(agent.name).set(is_connected(agent))
        for server, state in servers_of(agent):
            metrics.agent_fails.labels(agent.name, server).set(state.startswith("failing"))


def _look_at_anchors() -> None:
    now = database_now()
    for state in AnchorState.objects.filter(name__in=installation.place_names()):
        metrics.anchor_fails.labels(state.name).set(bool(state.error))
        if state.put_at is not None:
            metrics.anchored_age.labels(state.name).set((now - state.put_at).total_seconds())


def _look_at_the_outbox() -> None:
    """Tell what the workers keep in the database, who answer no scrape themselves."""
    waiting = OutboundMessage.objects.filter(status=OutboundMessage.Status.QUEUED)
    found = waiting.order_by().aggregate(number=Count("id"), oldest=Min("created_at"))
    metrics.queued.set(found["number"])
    metrics.queued_seconds.set((database_now() - found["oldest"]).total_seconds() if found["oldest"] else 0)
    for row in RouteState.objects.values("channel").annotate(ok=Sum("sent"), bad=Sum("failed"), lost=Sum("given_up")):
        for outcome, count in (("sent", row["ok"]), ("failed", row["bad"]), ("given_up", row["lost"])):
            metrics.deliveries.stand_at(row["channel"], outcome, count=count)
