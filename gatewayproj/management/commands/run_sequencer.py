"""`manage.py run_sequencer`: signs the log in a process of its own, the only one with the log's key."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from approvals import leading
from approvals.runtime import shut_down
from gatewayproj import soundness
from sessions import installation, logkey
from sessions.anchors import AnchorBroken
from sessions.evidence.jobs import Maker
from sessions.evidence.report import report
from sessions.outside.places import NotAnAnchor

log = logging.getLogger("holdgate.process")


class Command(BaseCommand):
    """Run until SIGTERM or SIGINT. A second one elsewhere stands by, and takes over when the first ends."""

    help = "Give entries their place in the log and sign it, beside web processes that do not have the key."

    def handle(self, *_: Any, **options: Any) -> None:
        """Sign until told to stop."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        try:
            if connection.vendor != "postgresql":
                raise soundness.Refused("a sequencer of its own needs PostgreSQL; on SQLite `rungateway` has one")
            soundness.require(soundness.durability())
            soundness.require(soundness.set_back_database())
            sequencer = installation.sequencer(leading.elected)
            feeders = installation.feeders(sequencer)
        except (soundness.Refused, logkey.KeyUnusable, AnchorBroken, NotAnAnchor, DatabaseError) as error:
            raise CommandError(str(error)) from error
        connection.close()
        maker = Maker(installation.signer, report)
        sequencer.start()
        for feeder in feeders:
            feeder.start()
        maker.start()
        log.info("signing the log %s", installation.signer().name)
        stopping.wait()
        maker.stop()
        for feeder in feeders:
            feeder.stop()
        shut_down()
        sequencer.stop()
