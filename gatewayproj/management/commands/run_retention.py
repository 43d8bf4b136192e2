"""`manage.py run_retention`: erases what is over and what was decided, as the database role that may."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals import erasure
from approvals.runtime import runtime, shut_down
from gatewayproj import soundness
from sessions.erasing import NotRecorded
from sessions.journal import RecordUnavailable

log = logging.getLogger("holdgate.process")

PERIOD_SECONDS = 60.0


class Command(BaseCommand):
    """Run until SIGTERM or SIGINT, or once. A second one elsewhere does no harm."""

    help = "Erase payloads whose time is over or whose erasure was confirmed; needed beside a hardened web."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Once, or until told to stop."""
        parser.add_argument("--once", action="store_true", help="erase what is due now, and end")

    def handle(self, *_: Any, **options: Any) -> None:
        """Erase again and again; what fails is tried again with the next turn, and with --once is an error."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        try:
            soundness.require(soundness.durability())
            while not stopping.is_set():
                self._turn(once=options["once"])
                if options["once"]:
                    return
                stopping.wait(PERIOD_SECONDS)
        except (soundness.Refused, DatabaseError, NotRecorded, RecordUnavailable) as error:
            raise CommandError(str(error)) from error
        finally:
            shut_down()

    def _turn(self, *, once: bool) -> None:
        try:
            erased = erasure.run(runtime())
        except (DatabaseError, NotRecorded, RecordUnavailable) as error:
            if once:
                raise
            log.warning("nothing more was erased, it is tried again: %s", error)
        else:
            log.info("%d payloads erased", erased)
