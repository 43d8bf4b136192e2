"""`manage.py call CONNECTION TOOL --args JSON`: one tool call through a gateway, for shells and pipelines."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from proxy.client import arguments


class Command(BaseCommand):
    help = arguments.DESCRIPTION
    # A pipeline's machine has no gateway's database.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.declare(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with the code that says what came of the call."""
        # One line per request on stderr would bury what the person at the terminal must read.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        sys.exit(arguments.perform(options))
