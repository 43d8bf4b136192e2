"""The senders of mail, signed webhooks and Teams: each reads the request and the policy at the moment it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from approvals import secret_reader
from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.notices import mail, policy_notice, post, teams, webhooks
from approvals.notices.notice import QUIET, Notice, notice_of
from approvals.outbox import Dead, Retry, Skip
from approvals.secrets import SecretUnavailable
from approvals.ties import name_behind

if TYPE_CHECKING:
    from approvals.config.channels import Channels
    from approvals.models import OutboundMessage
    from approvals.outbox import Delivery
    from approvals.runtime import Runtime

GONE: Final = "the policy names no such route any more"
STALE: Final = "decided meanwhile"


def by_mail(message: OutboundMessage, runtime: Runtime) -> Delivery:
    """Send a mail to the address that the route names."""
    channel = channels_of(message, runtime).email
    if channel is None:
        return Dead(GONE)
    notice = _notice(message, runtime)
    if skipped := _skipped(notice):
        return skipped
    return mail.deliver(mail.compose(notice, sender=channel.sender, recipient=message.target))


def by_webhook(message: OutboundMessage, runtime: Runtime) -> Delivery:
    """Post a signed event to the webhook that the route names."""
    channel = channels_of(message, runtime).webhooks.get(message.target)
    if channel is None:
        return Dead(GONE)
    try:
        keys = [webhooks.key_of(secret_reader.configured().read(reference).reveal()) for reference in channel.secret]
    except (SecretUnavailable, webhooks.SecretUnusable) as error:
        return Retry(f"its secret cannot be used: {error}")
    body = webhooks.body_of(_notice(message, runtime), with_arguments=channel.arguments == "masked")
    return post.post(channel.url, body, webhooks.headers_of(message.pk, body, keys, database_now()))


def by_teams(message: OutboundMessage, runtime: Runtime) -> Delivery:
    """Post a card to the workflow that the route names."""
    channel = channels_of(message, runtime).teams.get(message.target)
    if channel is None:
        return Dead(GONE)
    notice = _notice(message, runtime)
    if skipped := _skipped(notice):
        return skipped
    try:
        url = secret_reader.configured().read(channel.url).reveal()
    except SecretUnavailable as error:
        return Retry(f"its address cannot be had: {error}")
    return post.post(url, teams.card_of(notice), {})


def channels_of(message: OutboundMessage, runtime: Runtime) -> Channels:
    """Return the channels by which a message goes: those in force, for an alert first those before what it tells of."""
    # Read anew: a worker process hears of no publication.
    return policy_notice.channels_before(message, runtime.policies.reload().policy.config.channels)


def _notice(message: OutboundMessage, runtime: Runtime) -> Notice:
    if message.subject:
        return policy_notice.notice_of(message, runtime)
    if not message.approval:
        return Notice(id=message.pk, event="test", at=message.created_at, url=f"{runtime.public_url}/routes/")
    request = ApprovalRequest.objects.prefetch_related("votes").get(pk=message.approval)
    snapshot = runtime.policies.reload()
    behind = name_behind(request, snapshot.policy.config)
    at, url = message.created_at, runtime.public_url
    return notice_of(message.pk, message.event, at, request, snapshot.notices, public_url=url, behind=behind)


def _skipped(notice: Notice) -> Skip | None:
    """Return why people need not be told: only programs follow every vote, and nobody decides what is decided."""
    if notice.event in QUIET:
        return Skip("not told to people")
    return Skip(STALE) if notice.is_stale else None
