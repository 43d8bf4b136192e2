"""A policy whose rule tells people by every way there is, with real receivers of this machine behind each.

Import the fixture into a test module: `from tests.ways import ways  # noqa: F401`.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F

from approvals import outbox, secret_reader
from approvals.models import OutboundMessage
from approvals.notices.models import RouteState
from approvals.runtime import Runtime, runtime, shut_down
from approvals.senders import SENDERS
from gatewayproj.mail import parse
from tests.held import RULES, publish_policy
from tests.mail_server import MailServer, mail_server
from tests.receiver import Receiver, receiver, teams

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"n" * 32).decode()
NOTIFY: list[dict[str, str]] = [{"email": "dba@example.com"}, {"webhook": "ops"}, {"teams": "dba"}]


@dataclass
class Ways:
    """The gateway and who hears of its requests."""

    house: Runtime
    mail: MailServer
    ops: Receiver
    spare: Receiver
    teams: Receiver
    channels: dict[str, Any] = field(default_factory=dict)

    def publish(self, *notify: dict[str, str], **channels: Any) -> None:
        """Bring the policy into force, with these routes instead of all; None removes a channel."""
        found = {key: value for key, value in {**self.channels, **channels}.items() if value is not None}
        first = {**RULES[0], "notify": list(notify) or NOTIFY}
        publish_policy(rules=[first, *RULES[1:]], channels=found)

    def send(self) -> int:
        """Send what is due, and what becomes due by that; return how many messages were tried."""
        tried = 0
        while sent := sum(outbox.deliver(self.house, message, SENDERS) for message in outbox.due()):
            tried += sent
        return tried

    def send_in_a_thread(self) -> None:
        """Send what is due in a thread of its own, as a worker does."""

        def work() -> None:
            self.send()
            connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def send_one(self, message: str) -> None:
        """Send one message, as a worker's thread does."""
        outbox.deliver(self.house, message, SENDERS)
        connections.close_all()

    def later(self) -> None:
        """Let enough time pass that everything is due and every route has rested."""
        OutboundMessage.objects.update(next_attempt_at=F("created_at") - timedelta(hours=1))
        RouteState.objects.update(rests_until=None)


def messages(**only: Any) -> list[tuple[str, str, str]]:
    """Return channel, event and status of the messages there are, in the order in which they were written."""
    rows = OutboundMessage.objects.filter(**only)
    return [(row.channel, row.event, row.status) for row in rows]


@contextlib.contextmanager
def receivers(house: Runtime, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Ways]:
    """Give receivers for every way, and a policy that names them."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    secret_reader.configured.cache_clear()  # it keeps what it read for some seconds: the last test's receivers
    with mail_server() as mail, receiver() as ops, receiver() as spare, teams() as workflow:
        for name, value in parse(f"smtp://127.0.0.1:{mail.port}").items():
            setattr(settings, name, value)
        monkeypatch.setenv("OPS_HOOK", SECRET)
        monkeypatch.setenv("OPS_HOOK_NEXT", NEXT_SECRET)
        monkeypatch.setenv("TEAMS_DBA", workflow.url)
        made = Ways(house, mail, ops, spare, workflow)
        made.channels = {
            "email": {"from": "holdgate@example.com"},
            "webhooks": {
                "ops": {"url": ops.url, "secret": "env:OPS_HOOK"},
                "spare": {"url": spare.url, "secret": ["env:OPS_HOOK", "env:OPS_HOOK_NEXT"], "arguments": "masked"},
            },
            "teams": {"dba": {"url": "env:TEAMS_DBA"}},
        }
        made.publish()
        yield made


@pytest.fixture
def ways(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Ways]:
    settings.PUBLIC_URL = "http://localhost"
    shut_down()
    with receivers(runtime(), monkeypatch, settings) as made:
        yield made
    shut_down()
