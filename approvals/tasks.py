"""Celery tasks: each calls one service. The rows are the truth; a lost or doubled task changes nothing."""

from __future__ import annotations

from celery import shared_task

from approvals import access, erasure, outbox, timers
from approvals.evidence import bundles
from approvals.masks import counting
from approvals.runtime import runtime
from approvals.senders import SENDERS
from approvals.streams import following
from sessions.search import index


@shared_task(name="approvals.run_due", acks_late=True, reject_on_worker_lost=True)
def run_due() -> int:
    """Expire, lapse, remind and escalate what is due, end what lost its ground; return for how many requests."""
    return timers.run_due(runtime()) + access.run_due(runtime())


@shared_task(name="approvals.deliver", acks_late=True, reject_on_worker_lost=True)
def deliver() -> int:
    """Hand each message that is due to a task of its own, so that a channel that hangs delays no other."""
    messages = outbox.due()
    for message in messages:
        deliver_one.apply_async((message,), expires=outbox.LEASE.total_seconds())
    return len(messages)


@shared_task(name="approvals.deliver_one", acks_late=True, reject_on_worker_lost=True)
def deliver_one(message: str) -> bool:
    """Send one message, if nobody else does."""
    return outbox.deliver(runtime(), message, SENDERS)


@shared_task(name="approvals.count_masking", acks_late=True, reject_on_worker_lost=True)
def count_masking() -> int:
    """Count what masking hid, from the record, on from where it stopped; return how many entries are left."""
    return counting.count_up()


@shared_task(name="approvals.index_calls", acks_late=True, reject_on_worker_lost=True)
def index_calls() -> int:
    """Make the calls that came since searchable; return how many entries are left."""
    return index.index_up()


@shared_task(name="approvals.retain", acks_late=True, reject_on_worker_lost=True)
def retain() -> int:
    """Erase what was confirmed and what is over, where this role may; forget copies; return how many payloads."""
    erased = erasure.run(runtime()) if erasure.runs_here() else 0
    erasure.forget()
    return erased


@shared_task(name="approvals.make_bundles", acks_late=True, reject_on_worker_lost=True)
def make_bundles() -> int:
    """Make bundles of evidence that people asked for, and delete old ones; return how many came to be ready."""
    return bundles.run_due(runtime())


@shared_task(name="approvals.stream", acks_late=True, reject_on_worker_lost=True)
def stream() -> int:
    """Hand each stream to a task of its own, so that a receiver that hangs delays no other."""
    names = sorted(runtime().policies.reload().policy.config.channels.streams)
    for name in names:
        stream_one.apply_async((name,), expires=following.LEASE.total_seconds())
    return len(names)


@shared_task(name="approvals.stream_one", acks_late=True, reject_on_worker_lost=True)
def stream_one(name: str) -> int:
    """Send what one stream lacks, if nobody else does; return how many entries arrived."""
    return following.advance(runtime(), name)
