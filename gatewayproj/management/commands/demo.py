"""`manage.py demo`: the whole of Holdgate in one process, with a pipeline step that waits for a person."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from gatewayproj.demo.run import run
from gatewayproj.demo.world import Refused, current


class Command(BaseCommand):
    help = (
        "See a pipeline step held, approved, run once, masked and recorded: a real MCP server and client, "
        "sample people and rules, free ports, a temporary database. Nothing is needed and nothing is left."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--auto", action="store_true", help="decide alone, check the promises, exit 0 when all were seen"
        )
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; in a container 0.0.0.0")
        parser.add_argument("--port", type=int, default=0, help="the port to listen on, by default a free one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Play the demo and exit with its code; 2 when it does not start here."""
        try:
            where = (options["host"], options["port"])
            code = run(current(), where, auto=options["auto"], out=sys.stdout)
        except Refused as refused:
            self.stderr.write(str(refused))
            code = 2
        sys.exit(code)
