"""The Celery application, its schedule, and the worker and beat that the all-in-one mode runs in its own process."""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery
from celery.beat import Scheduler, Service
from celery.worker import WorkController

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")

SWEEP_SECONDS = 5.0

app = Celery("holdgate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "expire-and-lapse": {
        "task": "approvals.run_due",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
}


class EmbeddedCelery:
    """Worker and beat as threads of this process, for the mode that needs no service.

    `WorkController` rather than `app.Worker`: it installs no signal handlers, so it may live beside a web server.
    """

    def __init__(self) -> None:
        options: dict[str, Any] = {
            "pool_cls": "threads",
            "concurrency": 2,
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
