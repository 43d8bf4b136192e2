"""`manage.py rotate_log_key`: another key signs the log, and the record says so in the name of the one before."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.runtime import Runtime, runtime, shut_down
from sessions import installation, logkey
from sessions.checkpoint import Signer
from sessions.events import Event
from sessions.journal import RecordUnavailable
from sessions.keychain import RETIRED, ROTATED, facts_of
from sessions.leaf import decode
from sessions.models import Entry


class Command(BaseCommand):
    """To be run where the log's key is. Both keys sign until --finish; nothing is restarted."""

    help = "Make a new key for the log, signed in by the one so far; --finish retires that one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", help="why, for the record")
        parser.add_argument("--finish", action="store_true", help="retire and delete the key before")
        parser.add_argument("--compromised", action="store_true", help="both at once: the key so far is in other hands")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do the step that was asked for; what was interrupted is taken up again."""
        if not options["finish"] and not options["reason"]:
            raise CommandError("--reason is needed: why is the key exchanged?")
        try:
            signer = logkey.load(installation.log_key())
            house = runtime()
            try:
                self._rotate(house, signer, options)
            finally:
                shut_down()
        except (logkey.KeyUnusable, DatabaseError, RecordUnavailable) as error:
            raise CommandError(f"{error}; run the command again") from error

    def _rotate(self, house: Runtime, signer: Signer, options: dict[str, Any]) -> None:
        if not options["finish"]:
            if signer.previous is None:
                signer = logkey.follow(installation.log_key())
            self._say(house, ROTATED, signer, options)
            self.stdout.write(f"signs from now on, beside the one before: {signer.verify_key}")
        if options["finish"] or options["compromised"]:
            if signer.previous is None:
                raise CommandError("no rotation is under way")
            self._say(house, RETIRED, signer, options)
            self.stdout.write(f"retired: {logkey.retire(installation.log_key())}")

    def _say(self, house: Runtime, kind: str, signer: Signer, options: dict[str, Any]) -> None:
        """Write the entry, unless an interrupted run did."""
        assert signer.previous is not None  # noqa: S101 - both steps come here with two keys
        key, by = (signer.verify_key, signer.previous) if kind == ROTATED else (signer.previous.verify_key, signer)
        facts = {**facts_of(kind, key, by), "compromised": bool(options["compromised"])}
        snapshot = house.policies.reload()

        def work() -> tuple[None, Sequence[Event]]:
            said = Entry.objects.filter(kind=kind).values_list("leaf", flat=True)
            if any(decode(bytes(leaf)).facts.get("key") == facts["key"] for leaf in said):
                return None, ()
            reason = options["reason"] or ""
            return None, [
                Event(
                    kind=kind,
                    policy_revision=snapshot.revision,
                    policy_digest=snapshot.digest,
                    facts=facts,
                    payloads={"reason": snapshot.outlet("").value_for_record(reason)} if reason else {},
                )
            ]

        house.journal.transact_now(work)
