"""Notifications in browsers (Web Push, RFC 8030): that an approval waits, and a link; nothing of the call.

A browser's subscription is the address at its push service and the browser's keys. It is kept sealed, for whoever has
it could disturb its owner, and forgotten when the push service says that it is gone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import InvalidTag
from django.conf import settings

from approvals import keys
from approvals.database import database_now
from approvals.models import ApprovalRequest, Person
from approvals.notices import post, push_encryption
from approvals.notices.models import PushSubscription
from approvals.notices.notice import ASKING
from approvals.notices.post import Answer
from approvals.origins import LOOPBACK
from approvals.outbox import Dead, Retry, Sent, Skip
from approvals.selectors import may_decide
from approvals.standing import caller_of
from approvals.states import Status
from approvals.ties import tied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.models import OutboundMessage
    from approvals.outbox import Delivery
    from approvals.policy import Policy
    from approvals.runtime import Runtime

MOST_OF_A_PERSON: Final = 10
# With the seconds of each and so many at a time, all of it stays below the lease of a message.
MOST: Final = 100
AT_A_TIME: Final = 16
SECONDS: Final = 5.0
LONGEST_ENDPOINT: Final = 1000
DAY: Final = 24 * 3600
_GONE: Final = frozenset({404, 410})


class Refused(Exception):
    """This subscription is not taken; the text says why."""


def subscribe(person: Person, endpoint: str, p256dh: str, auth: str, browser: str) -> PushSubscription:
    """Keep a browser's subscription for a person; the oldest of too many is forgotten. Raises Refused."""
    if len(endpoint) > LONGEST_ENDPOINT or not _is_known(endpoint):
        raise Refused("This browser's push service is not one that the gateway knows; see HOLDGATE_PUSH_SERVICES.")
    try:
        push_encryption.browser_key(push_encryption.read(p256dh), push_encryption.read(auth))
    except push_encryption.Unreadable:
        raise Refused("The browser's keys cannot be read.") from None
    digest = keys.keyed_digest("web push", endpoint)
    found = PushSubscription.objects.filter(digest=digest).first() or PushSubscription(digest=digest)
    found.person, found.browser, found.created_at = person, browser[:100], database_now()
    plain = orjson.dumps({"endpoint": endpoint, "p256dh": p256dh, "auth": auth})
    found.sealed = keys.seal(plain, context=_context(digest))
    found.save()
    mine = PushSubscription.objects.filter(person=person).order_by("-created_at")
    PushSubscription.objects.filter(pk__in=list(mine.values_list("pk", flat=True)[MOST_OF_A_PERSON:])).delete()
    return found


def reseal() -> int:
    """Seal by the secret key in force what an older one sealed; return how many. What no key opens is left alone."""
    done = 0
    for row in PushSubscription.objects.all():
        with suppress(InvalidTag):
            if anew := keys.sealed_anew(bytes(row.sealed), context=_context(row.digest)):
                done += PushSubscription.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=anew)
    return done


def _context(digest: str) -> str:
    return f"web push/{digest}"


def _is_known(endpoint: str) -> bool:
    """Say whether an address, which a browser has told us, is at a push service; we call no other for anybody."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    known = any(host == service or host.endswith(f".{service}") for service in settings.PUSH_SERVICES)
    usual = parts.scheme == "https" and port in {None, 443}
    return known and (usual or host in LOOPBACK) and parts.username is None and parts.password is None


def by_push(message: OutboundMessage, runtime: Runtime) -> Delivery:
    """Tell the browsers of those who may decide the request; a test goes to all browsers."""
    policy = runtime.policies.reload().policy
    channel = policy.config.channels.push
    if channel is None:
        return Dead("the policy names no such route any more")
    if message.approval and message.event not in ASKING:
        return Skip("not told to browsers")
    request = ApprovalRequest.objects.get(pk=message.approval) if message.approval else None
    if request is not None and request.status != Status.PENDING:
        return Skip("decided meanwhile")
    told = _told(request, policy)
    if not told:
        return Skip("no browser of anybody who may decide is to be told")
    body, headers = _content(request)
    send = partial(_send, body=body, headers=headers, contact=channel.contact)
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return _outcome(told, list(threads.map(send, told)))


def _told(request: ApprovalRequest | None, policy: Policy) -> list[PushSubscription]:
    rows = PushSubscription.objects.filter(person__is_active=True).select_related("person").order_by("-created_at")
    may: dict[str, bool] = {}
    told = []
    for row in rows:
        if row.person_id not in may:
            may[row.person_id] = request is None or not may_decide(
                request, tied(caller_of(row.person, policy), policy), policy
            )
        if may[row.person_id]:
            told.append(row)
    return told[:MOST]


def _content(request: ApprovalRequest | None) -> tuple[bytes, dict[str, str]]:
    if request is None:
        said = {"text": "A test of Holdgate: this browser is told.", "url": "/me/browsers/", "tag": "test"}
        return orjson.dumps(said), {"TTL": "60", "Urgency": "normal"}
    left = int((request.expires_at - database_now()).total_seconds())
    said = {"text": "1 approval waits", "url": f"/approvals/{request.pk}/", "tag": request.pk}
    # A topic (RFC 8030 §5.4): what was not shown yet is replaced by its repeat.
    topic = request.pk.replace("-", "")[:32]
    return orjson.dumps(said), {"TTL": str(min(max(left, 0), DAY)), "Urgency": "high", "Topic": topic}


def _send(row: PushSubscription, *, body: bytes, headers: dict[str, str], contact: str) -> Answer | Retry | Dead:
    kept = orjson.loads(keys.unseal(bytes(row.sealed), context=_context(row.digest)))
    endpoint = str(kept["endpoint"])
    if not _is_known(endpoint):
        return Dead("its push service is not one that the gateway knows any more")
    sealed = push_encryption.encrypt(body, push_encryption.read(kept["p256dh"]), push_encryption.read(kept["auth"]))
    own = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "Authorization": push_encryption.authorization(endpoint, contact),
    }
    return post.ask(endpoint, sealed, headers | own, seconds=SECONDS)


def _outcome(told: Sequence[PushSubscription], answers: Sequence[Answer | Retry | Dead]) -> Delivery:
    """Forget the browsers that are gone. One that was reached makes it a success: a repeat would disturb it again."""
    gone = [row.pk for row, answer in zip(told, answers, strict=True) if _is_gone(answer)]
    PushSubscription.objects.filter(pk__in=gone).delete()
    outcomes = [answer.outcome if isinstance(answer, Answer) else answer for answer in answers if not _is_gone(answer)]
    if reached := sum(isinstance(outcome, Sent) for outcome in outcomes):
        return Sent({"browsers": reached})
    later = next((outcome for outcome in outcomes if isinstance(outcome, Retry)), None)
    return later or next(iter(outcomes), Skip("the browsers that were to be told are gone"))


def _is_gone(answer: Answer | Retry | Dead) -> bool:
    return isinstance(answer, Answer) and answer.status in _GONE
