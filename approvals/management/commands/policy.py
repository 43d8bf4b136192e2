"""`manage.py policy`: export, diff, apply and test the declarative configuration."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Q

from approvals.config.document import diff, dump
from approvals.config.loader import ConfigError, load
from approvals.drafts import apply_text, items_of, preview
from approvals.models import ConfigItem, Person, PolicyRevision
from approvals.policy import Policy, local_groups
from approvals.publication import Policies
from approvals.runtime import runtime, shut_down
from approvals.standing import caller_of
from approvals.verdicts import Call, Caller, Hold
from sessions.journal import RecordUnavailable

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
        changes = diff(_in_force(), wanted)
        for change in changes:
            self.stdout.write(str(change))
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
        self.stdout.write(f"revision {published.revision}" + ("" if published.changes else " (nothing changed)"))
        return 0

    def _test(self, options: dict[str, Any]) -> int:
        config = load(_read(options["config"])) if options["config"] else _in_force()
        policy = Policy.compile(config)
        try:
            arguments = json.loads(options["arguments"])
        except ValueError as error:
            raise CommandError(f"--args is not JSON: {error}", returncode=2) from error
        call = Call(
            caller=_caller(options, policy),
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


def _caller(options: dict[str, Any], policy: Policy) -> Caller:
    """Return who the call is tried as: a known person, an account by iss|sub, or nobody in particular."""
    who, further = options["who"], frozenset(options["group"])
    iss, _, sub = who.partition("|")
    known = Person.objects.filter(Q(email=who) | Q(display=who) | Q(iss=iss, sub=sub)) if who else Person.objects.none()
    person = known.order_by("created_at").first() if options["kind"] == "person" else None
    if person is not None:
        caller = caller_of(person, policy)
        return caller.with_groups(caller.groups | further)
    issuer = next((entry.name for entry in policy.config.issuers if entry.issuer == iss), "")
    caller = Caller(iss=iss, sub=sub, kind=options["kind"], issuer=issuer)
    return caller.with_groups(local_groups(policy.config, caller) | further)
