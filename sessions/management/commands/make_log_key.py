"""`manage.py make_log_key FOLDER`: the key that will sign the log, made before anything that signs is started."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sessions import logkey


class Command(BaseCommand):
    """For installations whose processes share no folder: each is given the half that it needs. Needs no database."""

    help = "Make log.key and log.pub in a folder, to be handed to run_sequencer and to the other processes."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to put the two files."""
        parser.add_argument("folder", type=Path, help="made when it is missing; a key that is in it stays")

    def handle(self, *_: Any, **options: Any) -> None:
        """Make both files and print the public half. Raises CommandError when a key is there, or none can be kept."""
        key = options["folder"] / "log.key"
        if key.exists():
            raise CommandError(f"{key} is there already; it is left as it is")
        try:
            made = logkey.ensure(key, settings.ORIGIN)
        except logkey.KeyUnusable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(made.verify_key))
