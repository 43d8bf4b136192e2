"""`manage.py slack_test`: a message that goes all the way to a Slack channel and, by a click, back."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError

from approvals import outbox
from approvals.config.channels import Route
from approvals.models import OutboundMessage
from approvals.notices.routes import write_test
from approvals.runtime import runtime, shut_down
from sessions.events import Event
from sessions.journal import RecordUnavailable

SENT_WITHIN = 30.0
LOOK_SECONDS = 0.2


class Command(BaseCommand):
    """Write a test into the outbox, and say how far it came: sent by a worker, clicked, and by whom."""

    help = "Send a test to a Slack channel and wait until somebody presses its button. Nothing is run by it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", help="#name or id, as in a route")
        parser.add_argument("--wait", type=float, default=120.0, help="seconds to wait for the click (120)")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            target = Route(slack=options["channel"]).target
        except ValidationError as error:
            raise CommandError(f"{options['channel']}: {error.errors()[0]['msg']}") from error
        try:
            if runtime().policies.reload().policy.config.channels.slack is None:
                raise CommandError("the policy has no channels.slack")
            message = _write(target)
        except RecordUnavailable as error:
            raise CommandError(f"nothing was sent: {error}") from error
        finally:
            shut_down()
        self._wait_until_sent(message)
        self._wait_until_clicked(message, options["wait"])

    def _wait_until_sent(self, message: OutboundMessage) -> None:
        deadline = time.monotonic() + SENT_WITHIN
        while message.status == OutboundMessage.Status.QUEUED:
            if time.monotonic() > deadline:
                raise CommandError(message.error or "nobody sent it: is a Celery worker running, and beat?")
            time.sleep(LOOK_SECONDS)
            message.refresh_from_db()
        if message.status != OutboundMessage.Status.SENT:
            raise CommandError(message.error)
        self.stdout.write(f"sent to {message.target} ({message.ref['channel']}); press its button now")

    def _wait_until_clicked(self, message: OutboundMessage, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while "pressed" not in message.ref:
            if time.monotonic() > deadline:
                raise CommandError("no click arrived: look at the app's request URL and the signing secret")
            time.sleep(LOOK_SECONDS)
            message.refresh_from_db()
        self.stdout.write(f"the click arrived. {message.ref['pressed']}")


def _write(target: str) -> OutboundMessage:
    house = runtime()

    def work() -> tuple[OutboundMessage, Sequence[Event]]:
        message = write_test("slack", target)
        return message, [outbox.entry(house, message, "tested")]

    return house.journal.transact_now(work)
