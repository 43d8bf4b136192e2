"""`manage.py prove`: a proof that an entry is in the log, or that the log only grew, for other tools to check."""

from __future__ import annotations

import base64
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from sessions import proving
from sessions.models import Entry


class Command(BaseCommand):
    help = "Print a C2SP tlog-proof of an entry or of all entries of a call, or a consistency proof."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Name what is to be proved."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--entry", metavar="HASH", help="leaf hash of an entry, hex")
        what.add_argument("--call", metavar="ID", help="id of a call: a proof for each of its entries")
        what.add_argument(
            "--from", dest="old", type=int, metavar="SIZE", help="an older tree, by its number of entries"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the proof."""
        try:
            if options["old"] is not None:
                self._consistency(options["old"])
                return
            found = [bytes.fromhex(options["entry"])] if options["entry"] else _of(options["call"])
            for leaf_hash in found:
                self.stdout.write(proving.entry(leaf_hash))
        except (proving.NotProvable, DatabaseError, ValueError) as error:
            raise CommandError(" ".join(str(error).split())) from error

    def _consistency(self, old: int) -> None:
        proof = proving.consistency(old)
        self.stdout.write(f"old {proof.old}")
        for one in proof.hashes:
            self.stdout.write(base64.b64encode(one).decode())
        self.stdout.write(f"\n{proof.note}", ending="")


def _of(call: str) -> list[bytes]:
    found = [
        bytes(one) for one in Entry.objects.filter(call_id=call).order_by("id").values_list("leaf_hash", flat=True)
    ]
    if not found:
        raise proving.NotProvable(f"the record has no call {call}")
    return found
