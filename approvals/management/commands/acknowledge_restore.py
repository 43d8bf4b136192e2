"""`manage.py acknowledge_restore`: own up to a database that was set back, so that the gateway serves on it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.runtime import runtime, shut_down
from sessions import installation
from sessions.anchors import AnchorBroken
from sessions.events import RESTORED, Event
from sessions.journal import RecordUnavailable
from sessions.setback import SetBack, set_back


class Command(BaseCommand):
    """Write into the record that older data was restored, and put the anchor of what is lost aside."""

    help = "Acknowledge that the database was restored from an older copy; the gateway starts again then."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *_: Any, **options: Any) -> None:
        anchor = installation.anchor()
        try:
            found = set_back(anchor)
            if found is None:
                raise CommandError("nothing was set back: the database holds what is anchored")
            self._record(found, options["reason"])
            # Only then: until the entry is committed the gateway must go on refusing.
            aside = anchor.set_aside()
        except (AnchorBroken, DatabaseError, RecordUnavailable) as error:
            raise CommandError(f"{error}; nothing was changed") from error
        self.stdout.write(f"recorded; the anchor so far is kept as {aside}, for those who look for what is lost")

    def _record(self, found: SetBack, reason: str) -> None:
        house = runtime()
        try:
            snapshot = house.policies.reload()
            event = Event(
                kind=RESTORED,
                policy_revision=snapshot.revision,
                policy_digest=snapshot.digest,
                facts={
                    "anchored_size": found.anchored.size,
                    "anchored_root": found.anchored.root.hex(),
                    "size": found.size,
                },
                payloads={"reason": snapshot.outlet("").value_for_record(reason)},
            )
            house.journal.append_now(event)
        finally:
            shut_down()
