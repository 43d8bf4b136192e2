"""`manage.py rotate_secret_key`: another key signs browser sessions and seals what is stored, and nothing is lost."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.notices import push
from gatewayproj import keys
from proxy.oauth import stored

IN_SETTINGS = (
    "the key comes from HOLDGATE_SECRET_KEY: exchange it there (docs/operate/keys.md);"
    " --forget is run here, before the old key leaves HOLDGATE_SECRET_KEY_FALLBACKS"
)


class Command(BaseCommand):
    """Three steps, every process restarted after each; pseudonyms and digests of calls stay what they are."""

    help = "Make the next secret key; --switch puts it in force; --forget deletes the one before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        step = parser.add_mutually_exclusive_group()
        step.add_argument("--switch", action="store_true", help="put the next key in force, made now if there is none")
        step.add_argument("--forget", action="store_true", help="seal anew what the old key sealed, and delete it")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do the step that was asked for."""
        in_settings = any(os.environ.get(f"HOLDGATE_SECRET_KEY{end}") for end in ("", "_FILE"))
        try:
            if options["forget"]:
                self._forget(in_settings)
            elif in_settings:
                raise CommandError(IN_SETTINGS)
            else:
                self._exchange(switch=options["switch"])
        except OSError as error:
            raise CommandError(f"cannot keep keys in {settings.STATE_DIR / 'keys'}: {error.strerror}") from error

    def _exchange(self, *, switch: bool) -> None:
        done = keys.step(settings.STATE_DIR)
        if done == "switched":
            raise CommandError("an exchange is under way: run --forget before the next one")
        keys.prepare(settings.STATE_DIR)
        if not switch:
            self.stdout.write("made the next key: restart every process, then run --switch")
            return
        keys.switch(settings.STATE_DIR)
        self.stdout.write("switched: restart every process; run --forget in a week, or at once if the key was stolen")

    def _forget(self, in_settings: bool) -> None:
        if not in_settings and keys.step(settings.STATE_DIR) != "switched":
            raise CommandError("no exchange is under way that was switched")
        try:
            anew = push.reseal() + stored.reseal()
        except DatabaseError as error:
            why = " ".join(str(error).split())
            raise CommandError(f"not everything could be sealed anew, and nothing was deleted: {why}") from error
        if in_settings:
            self.stdout.write(f"sealed anew: {anew}; now empty HOLDGATE_SECRET_KEY_FALLBACKS and restart every process")
            return
        keys.forget(settings.STATE_DIR)
        self.stdout.write(f"sealed anew: {anew}; the key before is deleted: restart every process")
