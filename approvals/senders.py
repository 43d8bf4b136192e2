"""Which channels there are, and what sends the messages of each. A new channel is one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.notices import sending
from approvals.notices.push import by_push
from approvals.slack.sending import by_slack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.outbox import Sender

SENDERS: Mapping[str, Sender] = {
    "email": sending.by_mail,
    "webhook": sending.by_webhook,
    "teams": sending.by_teams,
    "push": by_push,
    "slack": by_slack,
}
