"""`manage.py policy`: export, diff, apply, test, simulate and lint the declarative configuration."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from approvals.config.document import diff, dump
from approvals.config.loader import ConfigError, load
from approvals.database import database_now
from approvals.drafts import apply_text, items_of, preview
from approvals.models import ConfigItem, PolicyRevision
from approvals.pastcalls import past_calls
from approvals.policy import Policy
from approvals.publication import Policies
from approvals.rules.backtest import BackTest, told
from approvals.rules.lint import lint
from approvals.rules.loosening import loosenings
from approvals.runtime import runtime, shut_down
from approvals.standing import caller_named
from approvals.verdicts import Call, Hold
from sessions.journal import RecordUnavailable, RecordUncertain

if TYPE_CHECKING:
    from approvals.config.schema import Config


class Command(BaseCommand):
    """Work with holdgate.yaml: exit 0 done or equal, 1 differs, 2 cannot."""

    help = "Export, compare, apply and try the configuration (holdgate.yaml)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("export", help="write the configuration in force to stdout")
        for name, what in (("diff", "compare a file with what is in force"), ("apply", "make a file true")):
            one = actions.add_parser(name, help=what)
            one.add_argument("file", type=Path)
            one.add_argument("--prune", action="store_true", help="also disable what was made in the admin")
        lint = actions.add_parser(
            "lint", help="name what is valid and yet hardly meant; exit 1 when there is something"
        )
        lint.add_argument("file", type=Path, nargs="?", help="a file, instead of what is in force")
        past = actions.add_parser("simulate", help="judge recorded calls by a file, and change nothing")
        past.add_argument("file", type=Path)
        past.add_argument("--days", type=int, default=7, help="how far back (default 7)")
        past.add_argument("--connection", default="", help="only calls of this connection")
        past.add_argument("--limit", type=int, default=0, help="at most so many calls; 0: all")
        past.add_argument("--json", action="store_true", dest="as_json", help="the whole report as JSON")
        test = actions.add_parser("test", help="print the verdict on one call")
        test.add_argument("connection")
        test.add_argument("tool")
        # Django takes the name `args` for itself.
        test.add_argument("--args", dest="arguments", default="{}", help="the arguments, as JSON")
        test.add_argument("--as", dest="who", default="", help="e-mail or name of a person, or iss|sub")
        test.add_argument("--group", action="append", default=[], help="a group of the caller; may come again")
        test.add_argument("--kind", default="person", choices=["person", "agent", "ci"])
        test.add_argument("--config", type=Path, help="judge by this file instead of what is in force")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            PolicyRevision.objects.exists()  # what is not migrated is said in one line, before anything is begun
            code = getattr(self, f"_{options['action']}")(options)
        except ConfigError as error:
            raise CommandError("\n".join(str(problem) for problem in error.problems), returncode=2) from error
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error), returncode=2) from error
        except RecordUncertain as error:
            raise CommandError(f"{error}: see `policy export`", returncode=2) from error
        except RecordUnavailable as error:
            raise CommandError(f"{error}; nothing was changed", returncode=2) from error
        except DatabaseError as error:
            message = "the database is not migrated or not reachable; run `manage.py migrate` first"
            raise CommandError(message, returncode=2) from error
        if code:
            sys.exit(code)

    def _export(self, options: dict[str, Any]) -> int:
        self.stdout.write(dump(_in_force()), ending="")
        return 0

    def _diff(self, options: dict[str, Any]) -> int:
        text = _read(options["file"])
        wanted = preview(text, prune=options["prune"])
        current = _in_force()
        changes = diff(current, wanted)
        for change in changes:
            self.stdout.write(str(change))
        for loosening in loosenings(current, wanted):
            self.stdout.write(f"looser: {loosening}")
        staying = set() if options["prune"] else _admin_made() - items_of(load(text)).keys()
        for kind, name in sorted(staying):
            self.stdout.write(f"{kind} {name} was made in the admin and stays")
        if not changes:
            self.stdout.write("equal")
        return 1 if changes else 0

    def _apply(self, options: dict[str, Any]) -> int:
        try:
            published = apply_text(runtime(), _read(options["file"]), author="policy apply", prune=options["prune"])
        finally:
            shut_down()
        for change in published.changes:
            self.stdout.write(str(change))
        for loosening in published.loosened:
            self.stdout.write(f"looser: {loosening}")
        self.stdout.write(f"revision {published.revision}" + ("" if published.changes else " (nothing changed)"))
        return 0

    def _lint(self, options: dict[str, Any]) -> int:
        config = load(_read(options["file"])) if options["file"] else _in_force()
        findings = lint(config)
        for finding in findings:
            self.stdout.write(str(finding))
        if not findings:
            self.stdout.write("nothing to say")
        return 1 if findings else 0

    def _simulate(self, options: dict[str, Any]) -> int:
        config = load(_read(options["file"]))
        until = database_now()
        since = until - timedelta(days=options["days"])
        calls = past_calls(config, since, until, connection=options["connection"], limit=options["limit"])
        report = BackTest(Policy.compile(config)).run(calls)
        lines = told(report, options["days"])
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["as_json"] else lines)
        return 0

    def _test(self, options: dict[str, Any]) -> int:
        config = load(_read(options["config"])) if options["config"] else _in_force()
        policy = Policy.compile(config)
        try:
            arguments = json.loads(options["arguments"])
        except ValueError as error:
            raise CommandError(f"--args is not JSON: {error}", returncode=2) from error
        call = Call(
            caller=caller_named(options["who"], options["kind"], frozenset(options["group"]), policy),
            connection=options["connection"],
            method="tools/call",
            name=options["tool"],
            arguments=arguments,
        )
        verdict = policy.judge(call)
        self.stdout.write(type(verdict).__name__.lower().replace("block", "deny"))
        for rule in verdict.rules:
            self.stdout.write(f"rule {rule}")
        if verdict.would:
            self.stdout.write(f"would {verdict.would} ({', '.join(verdict.observed)})")
        if isinstance(verdict, Hold):
            self.stdout.write(f"groups {', '.join(sorted(verdict.terms.require.groups))}")
        return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _in_force() -> Config:
    return Policies().reload().policy.config


def _admin_made() -> set[tuple[str, str]]:
    made = ConfigItem.objects.filter(owner=ConfigItem.Owner.ADMIN, enabled=True)
    return set(made.values_list("kind", "name"))
