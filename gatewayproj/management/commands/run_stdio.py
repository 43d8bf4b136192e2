"""`manage.py run_stdio`: the runner of stdio servers and of standing streams, beside web processes of several."""

from __future__ import annotations

from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from approvals.publication import Policies
from gatewayproj.stdio import CannotServe, serve_until_told


class Command(BaseCommand):
    """Keep the servers of stdio connections and the streams of 2024-11-05; the all-in-one server does so by itself."""

    help = "Keep the servers of stdio connections and the streams of 2024-11-05, for the web processes of this machine."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            uvloop.run(serve_until_told(settings.STDIO_SOCKET, Policies()))
        except CannotServe as error:
            raise CommandError(str(error)) from error
