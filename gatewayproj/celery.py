"""The Celery application, its schedule, and the worker and beat that the all-in-one mode runs in its own process."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import Celery
from celery.beat import Scheduler, Service
from celery.signals import beat_init, worker_init, worker_process_shutdown
from celery.worker import WorkController
from kombu.transport.redis import Channel as RedisChannel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")

log = logging.getLogger("holdgate.celery")

SWEEP_SECONDS = 5.0
OUTBOX_SECONDS = 1.0
COUNTING_SECONDS = 10.0
INDEXING_SECONDS = 2.0
RETAINING_SECONDS = 60.0
BUNDLE_SECONDS = 2.0
STREAMING_SECONDS = 2.0
CLEARING_SECONDS = 3600.0
# Threads of the embedded worker: channels that hang leave some for the timers.
EMBEDDED_THREADS = 8

app = Celery("holdgate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# A worker that loses Redis with a message in hand fails at acknowledging it there, or at putting it back, and ends
# (kombu 5.7). No message is worth that: each only says "look what is due", and beat says it again within seconds.
RedisChannel.ack_emulation = RedisChannel.do_restore = False
# Nothing of the schedule is worth a file: what is due stands in the database.
app.conf.beat_scheduler = "celery.beat:Scheduler"
app.conf.beat_schedule = {
    "expire-and-lapse": {
        "task": "approvals.run_due",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "deliver": {
        "task": "approvals.deliver",
        "schedule": OUTBOX_SECONDS,
        "options": {"expires": OUTBOX_SECONDS},
    },
    "count-masking": {
        "task": "approvals.count_masking",
        "schedule": COUNTING_SECONDS,
        "options": {"expires": COUNTING_SECONDS},
    },
    "index-calls": {
        "task": "approvals.index_calls",
        "schedule": INDEXING_SECONDS,
        "options": {"expires": INDEXING_SECONDS},
    },
    "stream": {
        "task": "approvals.stream",
        "schedule": STREAMING_SECONDS,
        "options": {"expires": STREAMING_SECONDS},
    },
    "retain": {
        "task": "approvals.retain",
        "schedule": RETAINING_SECONDS,
        "options": {"expires": RETAINING_SECONDS},
    },
    "make-bundles": {
        "task": "approvals.make_bundles",
        "schedule": BUNDLE_SECONDS,
        "options": {"expires": BUNDLE_SECONDS},
    },
    "clear-sessions": {
        "task": "gatewayproj.clear_sessions",
        "schedule": CLEARING_SECONDS,
        "options": {"expires": CLEARING_SECONDS},
    },
}


@worker_init.connect
@beat_init.connect
def _refuse_what_cannot_work(**kwargs: Any) -> None:
    """End a worker or beat of its own that is set up wrongly; those of the all-in-one process are right as they are."""
    from django.conf import settings

    from gatewayproj import soundness

    if not settings.ALL_IN_ONE and (problems := soundness.timers() or soundness.durability() or soundness.hardened()):
        log.error("this process does not start: %s", "; ".join(problems))
        raise SystemExit(2)


@worker_process_shutdown.connect
def _say_goodbye(**kwargs: Any) -> None:
    """End the record's writer of a worker's process, so that nobody takes the process for dead."""
    from approvals.runtime import shut_down

    shut_down()


class EmbeddedCelery:
    """Worker and beat as threads of this process, for the mode that needs no service.

    `WorkController` rather than `app.Worker`: it installs no signal handlers, so it may live beside a web server.
    """

    def __init__(self) -> None:
        options: dict[str, Any] = {
            "pool_cls": "threads",
            "concurrency": EMBEDDED_THREADS,
            "without_heartbeat": True,
            "without_mingle": True,
            "without_gossip": True,
        }
        self._worker = WorkController(app=app, **options)
        self._beat = Service(app, max_interval=1, scheduler_cls=Scheduler)
        self._threads = [
            threading.Thread(target=self._worker.start, name="holdgate-worker", daemon=True),
            threading.Thread(target=self._beat.start, name="holdgate-beat", daemon=True),
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop both and wait for what runs, some seconds at most."""
        self._beat.stop(wait=False)
        self._worker.stop(in_sighandler=False)
        for thread in self._threads:
            thread.join(timeout=10)
