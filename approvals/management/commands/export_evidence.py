"""`manage.py export_evidence`: a bundle of a period that an auditor checks without us."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.runtime import runtime, shut_down
from sessions import installation, logkey
from sessions.events import Event
from sessions.evidence.export import Exported, Wanted, export, moment
from sessions.evidence.period import NotSealed
from sessions.evidence.report import report
from sessions.journal import RecordUnavailable

EXPORTED = "evidence.exported"


class Command(BaseCommand):
    """Write the evidence of a period as one signed zip file, which verifies offline."""

    help = "Export the evidence of a period as one signed file; `manage.py verify FILE` checks it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="since", required=True, metavar="DATE", help="a date in UTC, or RFC 3339")
        parser.add_argument("--to", dest="until", required=True, metavar="DATE", help="the same; not included")
        parser.add_argument("-o", "--output", metavar="FILE", help="default: evidence_ORIGIN_FROM_TO.zip, here")
        parser.add_argument("--without-payloads", action="store_true", help="leave out masked arguments and answers")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            wanted = Wanted(moment(options["since"]), moment(options["until"]), not options["without_payloads"])
            if wanted.until > datetime.now(UTC):
                self.stderr.write("warning: the period is not over; a bundle made later will hold more than this one")
            signer = logkey.load(installation.log_key())
            target = Path(options["output"] or f"evidence_{signer.name}_{wanted.since:%F}_{wanted.until:%F}.zip")
            draft = target.with_name(f"{target.name}.part")
            exported = export(wanted, draft, signer, report, self._progress)
            try:
                # Nobody gets a bundle of which the record does not say that it was made.
                _record(exported, wanted)
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)
        except (ValueError, NotSealed, logkey.KeyUnusable, OSError, DatabaseError, RecordUnavailable) as error:
            raise CommandError(f"{error}; no evidence was written") from error
        rows = exported.rows
        self.stdout.write(f"{exported.period.end - exported.period.start} entries of the log, {rows['calls']} calls, "
                          f"{rows['approvals']} requests: {target}")  # fmt: skip

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done:,} of {total:,} entries", ending="" if done < total else "\n")


def _record(exported: Exported, wanted: Wanted) -> None:
    house = runtime()
    try:
        snapshot = house.policies.reload()
        event = Event(
            kind=EXPORTED,
            policy_revision=snapshot.revision,
            policy_digest=snapshot.digest,
            facts={
                "from": wanted.since.isoformat(),
                "to": wanted.until.isoformat(),
                "manifest": exported.manifest,
                "payloads": wanted.payloads,
                "start": exported.period.start,
                "end": exported.period.end,
            },
            payloads={"by": snapshot.outlet("").value_for_record({"user": getpass.getuser(), "via": "command"})},
        )
        house.journal.append_now(event)
    finally:
        shut_down()
