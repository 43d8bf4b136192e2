"""`manage.py mask FILE`: what masking makes of one's own text. Nothing is recorded or stored."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.config.loader import ConfigError, load
from approvals.keys import derive
from approvals.masking_rules import engine_of
from approvals.masks.trial import VIEWS, tried
from approvals.publication import Policies
from masking.engine import MaskingFailed

if TYPE_CHECKING:
    from approvals.config.schema import Config


class Command(BaseCommand):
    """Print a text or JSON document masked; counts go to stderr.

    Exit 0 done, 1 with `--check` when something was hidden, 2 cannot, 3 the text cannot be masked
    """

    help = "Mask a text or a JSON document by the rules in force or by a file, and print it. Nothing is stored."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a file in UTF-8; - reads stdin")
        parser.add_argument("--connection", default="", help="as an answer of this connection")
        parser.add_argument("--group", action="append", default=[], help="a group of the reader; may come again")
        parser.add_argument("--view", choices=list(VIEWS), default="caller", help="who reads (default: a caller)")
        parser.add_argument("--config", type=Path, help="the rules of this file; no database is needed then")
        parser.add_argument("--check", action="store_true", help="exit 1 when something is hidden")

    def handle(self, *args: Any, **options: Any) -> None:
        config, text = _config(options["config"]), _text(options["file"])
        name = options["connection"]
        if name and name not in config.connections:
            raise CommandError(f"there is no connection {name}", returncode=2)
        groups = frozenset(options["group"])
        engine = engine_of(config, hash_key=derive("pseudonym"))
        try:
            trial = tried(engine, text, connection=name, groups=groups, view=options["view"])
        except MaskingFailed as error:
            raise CommandError(f"{error}; an answer like it would be withheld", returncode=3) from error
        self.stdout.write(trial.shown, ending="")
        self.stdout.flush()
        for hidden, count in sorted(trial.hits.items()):
            self.stderr.write(f"{hidden}: {count}")
        if not trial.hits:
            self.stderr.write("nothing is hidden")
        if options["check"] and trial.hits:
            sys.exit(1)


def _config(path: Path | None) -> Config:
    try:
        return load(path.read_text(encoding="utf-8")) if path else Policies().current.policy.config
    except ConfigError as error:
        raise CommandError("\n".join(str(problem) for problem in error.problems), returncode=2) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the configuration cannot be read: {error}", returncode=2) from error
    except DatabaseError as error:
        message = "the database is not migrated or not reachable; run `manage.py migrate` first, or name --config"
        raise CommandError(message, returncode=2) from error


def _text(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", returncode=2) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8; a message like it would be withheld", returncode=3) from error
