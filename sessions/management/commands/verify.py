"""`manage.py verify`: is the record in the live database, or in a bundle, what was once signed?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from sessions import installation, ledger, logkey
from sessions.anchors import AnchorBroken, FileAnchor
from sessions.evidence.gwverify import command
from sessions.models import AnchorState
from sessions.verifier import Verifier

SOUND, ALTERED, CANNOT_CHECK = 0, 1, 2


class CannotCheck(Exception):
    """Why nothing can be said about the record."""


class Command(BaseCommand):
    help = "Verify the record in the live database, or an evidence bundle: exit 0 sound, 1 altered, 2 cannot check."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Name a bundle, the key and the anchor; by default the live record and those of this installation."""
        parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="an evidence bundle; default: the live record")
        parser.add_argument("--key", metavar="FILE", help="public key of the log (a vkey line); default: our own")
        parser.add_argument("--anchor", metavar="FILE", help="file of anchored checkpoints; default: our own")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print each finding on a line of its own and the summary last; end with the exit code."""
        key = Path(options["key"] or installation.public_key())
        anchor = Path(options["anchor"] or installation.anchor().path)
        if options["bundle"]:
            given = ["--anchor", str(anchor)] if anchor.exists() or options["anchor"] else []
            sys.exit(command.main([options["bundle"], "--key", str(key), *given]))
        try:
            code = self._verify(key, anchor)
        except (CannotCheck, logkey.KeyUnusable, AnchorBroken, DatabaseError) as error:
            self.stderr.write(f"cannot check: {' '.join(str(error).split())}")
            code = CANNOT_CHECK
        sys.exit(code)

    def _verify(self, key_file: Path, anchor_file: Path) -> int:
        _require_migrated()
        if not key_file.exists():
            msg = f"no public key at {key_file}: name it by --key, or run this where the log is signed (run_sequencer)"
            raise CannotCheck(msg)
        key = logkey.read_public(key_file)
        anchor = FileAnchor(anchor_file)
        # Before the view of the database is opened: what is anchored by now must be in it.
        anchored = anchor.length()
        findings = 0
        with ledger.snapshot() as source:
            verifier = Verifier(source, key, anchor.notes(anchored) if anchored else ())
            for finding in verifier.run():
                findings += 1
                self.stdout.write(str(finding))
        if not findings and verifier.checkpoints and not anchored:
            msg = f"no anchor at {anchor_file}, so a database that was cut short would not show"
            raise CannotCheck(msg)
        if verifier.pending:
            self.stdout.write(f"{verifier.pending} entries not yet under a checkpoint")
        summary = f"{verifier.entries} entries, {verifier.checkpoints} checkpoints, head {verifier.head}"
        for state in AnchorState.objects.order_by("name"):
            self.stdout.write(f"{state.name} was given a checkpoint of {state.size} entries; compare it by --anchor")
        self.stdout.write(f"verified {summary}")
        return ALTERED if findings else SOUND


def _require_migrated() -> None:
    executor = MigrationExecutor(connection)
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "mcp_sessions"]
    if executor.migration_plan(targets):
        msg = "the database is not migrated; run `manage.py migrate`"
        raise CannotCheck(msg)
