"""`manage.py slack_socket`: takes clicks from Slack over a connection that this process opens (Socket Mode)."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from approvals.runtime import runtime, shut_down
from approvals.slack import socket


class Command(BaseCommand):
    """Hold the line until SIGTERM; end with a message when Slack refuses it for good."""

    help = "Take clicks from Slack by Socket Mode. One process is enough; a second one takes over when the first dies."

    def handle(self, *_: Any, **__: Any) -> None:
        if connection.vendor == "sqlite":
            raise CommandError("on SQLite `manage.py rungateway` takes the clicks itself")
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        try:
            while not stopping.is_set():
                config = socket.wanted(runtime())
                if config is None:
                    raise CommandError("the policy has no channels.slack with mode: socket")
                socket.keep(runtime(), config, stopping)
        except socket.Hopeless as error:
            raise CommandError(str(error)) from error
        finally:
            shut_down()
