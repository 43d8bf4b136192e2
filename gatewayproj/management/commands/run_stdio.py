"""`manage.py run_stdio`: the runner of stdio servers, beside web processes of several."""

from __future__ import annotations

from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from approvals.publication import Policies
from approvals.stdio_commands import SETTING, configured
from gatewayproj.stdio import CannotServe, serve_until_told


class Command(BaseCommand):
    """Start, keep and end the servers of stdio connections; the all-in-one `rungateway` does so by itself."""

    help = "Run the servers of stdio connections, for the web processes on this machine."

    def handle(self, *args: Any, **options: Any) -> None:
        if not configured():
            raise CommandError(f"{SETTING} names no command that may be started", returncode=2)
        try:
            uvloop.run(serve_until_told(settings.STDIO_SOCKET, Policies()))
        except CannotServe as error:
            raise CommandError(str(error)) from error
