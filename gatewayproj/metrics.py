"""What this process counts for Prometheus. Labels come from the policy and from tables of ours, never from a caller.

Calls, decisions and masking are counted from what the record committed, in its writer's thread: what stands here
happened, and no call waits for its counting.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics

from approvals.outlet import counts_in
from approvals.runtime import runtime
from gatewayproj.tally import Counts, Tallies
from proxy.refusals import REASONS
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.crowd import Crowd
    from sessions.events import Event, Fact
    from sessions.journal import Journal
    from sessions.writer import Job

LOOP_SECONDS: Final = 0.25
FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CALLS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
PEOPLE: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0)
# How a call ended, by the kind of its last entry; refusals and faults are named by their reason instead.
ENDS: Final = {
    "call.result": "answered",
    "call.repeated": "repeated",
    "call.blocked": "",
    "call.refused": "",
    "call.failed": "",
    "call.unknown": "",
    "call.cancelled": "cancelled",
    "call.abandoned": "abandoned",
    "call.late": "late",
}
SAYING: Final = frozenset({"call.result", "call.message"})  # of the server; others tell of requests
FAULTS: Final = frozenset({"call.failed", "call.unknown"})
METHODS: Final = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete", "tasks/update"})
DECIDED: Final = frozenset(
    {"approved", "denied", "cancelled", "expired", "lapsed", "superseded", "revoked", "resolved"}
)

PROMPTS: Final = frozenset({"reminded", "escalated", "nudged"})

disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()
ProcessCollector(namespace="holdgate", registry=registry)

calls = Counts(
    "holdgate_calls",
    "Calls that ended, by connection, method, verdict and how they ended.",
    ("connection", "method", "verdict", "outcome"),
    registry,
)
call_seconds = Tallies(
    "holdgate_call_seconds",
    "From the arrival of an answered call to its recorded answer; of a held one with its wait.",
    ("connection", "verdict"),
    CALLS,
    registry,
)
faults = Counts(
    "holdgate_upstream_faults", "Calls that an upstream failed, by reason.", ("connection", "reason"), registry
)
masked = Counts(
    "holdgate_masked", "Values hidden in answers and notifications, by masking.", ("connection", "name"), registry
)
masked_requests = Counts(
    "holdgate_masked_requests",
    "Values hidden in what is written down of requests, by masking.",
    ("connection", "name"),
    registry,
)
exposed = Counts(
    "holdgate_exposed",
    "Values shown to callers whom a masking rule excepts, by what hides them from others.",
    ("connection", "name"),
    registry,
)
refusals = Counts(
    "holdgate_refusals",
    "Requests refused before they were calls, and held calls of which there were too many.",
    ("connection", "reason"),
    registry,
)
requested = Counts("holdgate_approvals_requested", "Requests opened here.", ("connection",), registry)
prompted = Counts(
    "holdgate_prompts", "How often people were reminded, nudged, or joined by more.", ("connection", "kind"), registry
)
loosened = Counts(
    "holdgate_policy_loosened", "Publications from here that loosen the configuration.", ("certain",), registry
)
decided = Counts("holdgate_decisions", "What became of requests, decided here.", ("connection", "decision"), registry)
decision_seconds = Histogram(
    "holdgate_decision_seconds", "From a request to its approval or denial.", buckets=PEOPLE, registry=registry
)
stream_behind = Gauge(
    "holdgate_stream_behind_entries", "Entries that a stream has not sent yet.", ["stream"], registry=registry
)
stream_seconds = Gauge(
    "holdgate_stream_behind_seconds", "How long the oldest of them waits.", ["stream"], registry=registry
)
stream_failures = Gauge(
    "holdgate_stream_failed_attempts", "Attempts that failed since one succeeded.", ["stream"], registry=registry
)
held = Gauge("holdgate_held_calls", "Calls that wait in this process now.", registry=registry)
held_most = Gauge("holdgate_held_calls_limit", "How many may wait in this process.", registry=registry)
wait_seconds = Histogram(
    "holdgate_wait_seconds", "How long held calls kept their callers.", buckets=PEOPLE, registry=registry
)
entries = Counts("holdgate_record_entries", "Entries committed by this process.", (), registry)
append_seconds = Tallies(
    "holdgate_record_append_seconds", "From asking for a commit to having it.", (), FAST, registry
).labels()
append_failures = Counts("holdgate_record_failures", "Commits that failed, or came too late.", ("why",), registry)
append_failures.add("failed", by=0)
unsigned = Gauge("holdgate_log_unsigned_entries", "Committed entries that no checkpoint covers yet.", registry=registry)
unsigned_seconds = Gauge("holdgate_log_unsigned_seconds", "Age of the oldest of them.", registry=registry)
anchored_age = Gauge(
    "holdgate_anchor_age_seconds",
    "Since a checkpoint reached an anchor beside the file.",
    ("anchor",),
    registry=registry,
)
anchor_fails = Gauge("holdgate_anchor_failing", "1 while an anchor fails.", ("anchor",), registry=registry)
signing = Gauge("holdgate_log_signing", "1 unless this process refuses or fails to sign.", registry=registry)
pending = Gauge("holdgate_pending_requests", "Requests that wait for people, in all processes.", registry=registry)
queued = Gauge("holdgate_notifications_queued", "Notifications to be sent, of all processes.", registry=registry)
queued_seconds = Gauge("holdgate_notifications_queued_seconds", "Age of the oldest of them.", registry=registry)
deliveries = Counts(
    "holdgate_deliveries", "Attempts to send notifications, of all processes.", ("channel", "outcome"), registry
)
owed = Gauge("holdgate_break_glass_open", "Approvals by one person alone that nobody has reviewed.", registry=registry)
agent_there = Gauge(
    "holdgate_agent_connected", "1 while an agent is connected, to any process.", ["agent"], registry=registry
)
agent_fails = Gauge(
    "holdgate_agent_server_failing",
    "1 while a server fails behind its agent.",
    ["agent", "connection"],
    registry=registry,
)
hears = Gauge("holdgate_listening", "1 while hints of other processes are heard.", registry=registry)
revision = Gauge("holdgate_policy_revision", "The policy by which this process judges.", registry=registry)
loop_lag = Histogram("holdgate_event_loop_lag_seconds", "How late the event loop was.", buckets=FAST, registry=registry)
build = Gauge("holdgate_build_info", "1, of the build that runs.", ("version",), registry=registry)
build.labels(settings.BUILD).set(1)

_given_up = 0


def watch_record(journal: Journal) -> None:
    """Count what this journal commits from now on, and how long that takes."""
    journal.observe = _batch


def look_at_failures(journal: Journal) -> None:
    """Count whom the journal has told meanwhile that it was too slow."""
    global _given_up
    now, _given_up = journal.given_up - _given_up, journal.given_up
    append_failures.add("late", by=max(now, 0))


def watch_crowd(crowd: Crowd) -> None:
    """Show how many calls wait in this crowd, and for how long they did."""
    held.set_function(lambda: len(crowd))
    held_most.set_function(lambda: settings.MAX_HELD)
    crowd.waited = wait_seconds.observe


def refused(reason: str, connection: str) -> None:
    """Count a request that was refused before it was a call; a connection that there is not has no name here."""
    known = runtime().policies.current.policy.config.connections
    refusals.add(connection if connection in known else "", reason)


async def watch_loop() -> None:
    """Look again and again how late the running loop wakes this task."""
    while True:
        due = time.monotonic() + LOOP_SECONDS
        await asyncio.sleep(LOOP_SECONDS)
        loop_lag.observe(max(0.0, time.monotonic() - due))


def _batch(jobs: Sequence[Job]) -> None:
    now = time.monotonic()
    written = 0
    for job in jobs:
        append_seconds.observe(now - job.queued)
        written += len(job.written)
        if isinstance(job.error, RecordUnavailable) and not job.given_up:
            append_failures.add("failed")
        for event in job.written:
            _event(event)
    entries.add(by=written)


def _event(event: Event) -> None:
    kind, facts = event.kind, event.facts
    _masking(event)
    if kind in ENDS:
        _ended(event)
    elif kind == "policy.published":
        _loosened(facts.get("loosens"))
    elif kind == "approval.requested":
        requested.add(event.connection)
    elif kind.startswith("approval.") and kind[9:] in PROMPTS:
        prompted.add(event.connection, kind[9:])
    elif kind.startswith("approval.") and (what := kind[9:]) in DECIDED:
        decided.add(event.connection, what)
        if isinstance(taken := facts.get("milliseconds"), int):
            decision_seconds.observe(taken / 1000)


def _loosened(told: Fact) -> None:
    if isinstance(told, list) and told:
        loosened.add("no" if all(": maybe: " in one for one in told) else "yes")


def _ended(event: Event) -> None:
    facts = event.facts
    reason = facts.get("reason")
    reason = reason if isinstance(reason, str) and reason in REASONS else ""
    verdict = "deny" if event.kind == "call.blocked" else "hold" if "approval" in facts else "allow"
    method = event.method if event.method in METHODS else "other"
    calls.add(event.connection, method, verdict, reason or ENDS[event.kind] or "other")
    if event.kind in FAULTS:
        faults.add(event.connection, reason or "other")
    if event.kind == "call.result" and isinstance(taken := facts.get("milliseconds"), int):
        call_seconds.labels(event.connection, verdict).observe(taken / 1000)


def _masking(event: Event) -> None:
    """Count what was hidden, and what was shown to somebody whom a rule excepts."""
    hidden = masked if event.kind in SAYING else masked_requests
    for counter, what in ((hidden, "masked"), (exposed, "exposed")):
        for name, count in counts_in(event.facts.get(what)).items():
            counter.add(event.connection, name, by=count)
