"""`manage.py harden`: PostgreSQL roles that cannot change the record; prints the SQL, or applies it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, transaction

from gatewayproj.roles import NotARole, Roles, Schema, statements
from sessions import guards, store

LOCK_SECONDS = 10


class Command(BaseCommand):
    """To be run as the role that owns the tables and migrates; the web is to connect as another one."""

    help = "Print the SQL that takes every right to change the record from the web's database role; --apply runs it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the roles."""
        usual = Roles()
        parser.add_argument("--web", default=usual.web, metavar="ROLE", help="of web, worker and beat")
        parser.add_argument("--sequencer", default=usual.sequencer, metavar="ROLE", help="of run_sequencer")
        parser.add_argument("--retention", default=usual.retention, metavar="ROLE", help="of whoever erases payloads")
        parser.add_argument("--apply", action="store_true", help="run the SQL, in one transaction")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print or apply; nothing is done by halves."""
        if connection.vendor != "postgresql":
            raise CommandError("there are roles on PostgreSQL only: set DATABASE_URL to one, as the tables' owner")
        try:
            roles = Roles(options["web"], options["sequencer"], options["retention"])
            made = statements(roles, _schema())
            if not options["apply"]:
                self.stdout.write("\n".join(["BEGIN;", *(f"{one};" for one in made), "COMMIT;"]))
                return
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                for one in made:
                    cursor.execute(one)
        except (NotARole, DatabaseError) as error:
            raise CommandError(f"{' '.join(str(error).split())}; nothing was changed") from error
        self.stdout.write(
            f"{roles.web}, {roles.sequencer} and {roles.retention} have their rights. Give each a password "
            "(ALTER ROLE ... PASSWORD), let web, worker and beat connect as the first with HOLDGATE_HARDENED=1, "
            "and `manage.py run_sequencer` as the second."
        )


def _schema() -> Schema:
    name = store.query(connection, "SELECT quote_ident(current_schema())")[0][0]
    with connection.cursor() as cursor:
        tables = sorted(connection.introspection.table_names(cursor))
        if guards.ENTRY not in tables:
            raise CommandError("the database is not migrated; run `manage.py migrate` as this role first")
        columns = connection.introspection.get_table_description(cursor, guards.ENTRY)
    quoted = tuple(connection.ops.quote_name(table) if not table.islower() else table for table in tables)
    return Schema(name, quoted, tuple(column.name for column in columns))
