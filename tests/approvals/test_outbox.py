"""The outbox: what is to be told goes with the change itself, at least once, in order, and by one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from approvals import outbox
from approvals.config.loader import load
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.notices.models import RouteState
from approvals.outbox import Dead, Delivery, Retry, Sent
from approvals.publication import Policies, publish
from approvals.runtime import Runtime
from sessions.models import Entry
from tests.engine import RULES, engine, fresh, vote  # noqa: F401
from tests.held import policy_text
from tests.people import ALICE, BOB

ROUTES = [{"slack": "#db"}, {"webhook": "ops"}, {"slack": "#db"}]


class Told:
    """A sender that answers what it is told to, and remembers what it was given."""

    def __init__(self, *answers: Delivery, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._answers = list(answers)
        self._meanwhile = meanwhile
        self.messages: list[OutboundMessage] = []

    def __call__(self, message: OutboundMessage, runtime: Runtime) -> Delivery:
        self.messages.append(message)
        self._meanwhile()
        return self._answers.pop(0) if self._answers else Sent()


def routed(tool: str = "two") -> ApprovalRequest:
    """Open a request whose rule names routes."""
    request = fresh(tool)
    ApprovalRequest.objects.filter(pk=request.pk).update(terms={**request.terms, "notify": ROUTES})
    request.refresh_from_db()
    return request


def send(house: Runtime, sender: Told) -> int:
    """Send what is due, and what becomes due by that; return how many messages there were."""
    sent = 0
    while messages := outbox.due():
        sent += sum(outbox.deliver(house, message, {"slack": sender, "webhook": sender}) for message in messages)
    return sent


def make_due() -> None:
    OutboundMessage.objects.update(next_attempt_at=F("created_at") - timedelta(hours=1))
    RouteState.objects.update(rests_until=None)


def events(channel: str = "slack") -> list[str]:
    return list(OutboundMessage.objects.filter(channel=channel).values_list("event", flat=True))


def test_each_route_is_told_once_of_everything_that_happens(engine: Runtime) -> None:  # noqa: F811
    request = routed()

    vote(request, ALICE)
    vote(request, BOB)

    assert events("slack") == events("webhook") == ["voted", "voted", "approved"]


def test_a_vote_that_is_refused_tells_nobody(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE, "deny", comment="")

    assert not OutboundMessage.objects.exists()


def test_a_route_hears_in_the_order_in_which_things_happened(engine: Runtime) -> None:  # noqa: F811
    request = routed()
    vote(request, ALICE)
    vote(request, ALICE, "deny")
    sender = Told(Retry("busy"))

    first = outbox.due()
    assert [OutboundMessage.objects.get(pk=one).event for one in first] == ["voted", "voted"]
    for one in first:
        outbox.deliver(engine, one, {"slack": sender, "webhook": Told()})
    later = {(one.channel, one.event) for one in OutboundMessage.objects.filter(pk__in=outbox.due())}

    assert ("slack", "denied") not in later
    make_due()
    send(engine, sender)
    assert [one.event for one in sender.messages if one.channel == "slack"] == ["voted", "voted", "voted", "denied"]


@pytest.mark.promise("nothing-lost")
def test_what_a_worker_had_in_hand_when_it_died_is_sent_when_its_lease_is_over(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)
    message = outbox.due()[0]
    OutboundMessage.objects.filter(pk=message).update(attempts=1, next_attempt_at=F("created_at") + outbox.LEASE)
    sender = Told()

    assert not outbox.deliver(engine, message, {"slack": sender})
    make_due()
    assert outbox.deliver(engine, message, {"slack": sender})

    assert sender.messages[0].attempts == 2


def test_two_workers_never_send_one_message_at_the_same_time(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)
    message = outbox.due()[0]
    together = threading.Barrier(4)
    sender = Told()
    ours: list[bool] = []

    def work() -> None:
        together.wait(10)
        ours.append(outbox.deliver(engine, message, {"slack": sender, "webhook": sender}))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(ours) == [False, False, False, True]
    assert len(sender.messages) == 1


def test_what_cannot_be_sent_now_is_tried_again_later_and_given_up_in_the_end(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)
    OutboundMessage.objects.filter(channel="webhook").delete()
    sender = Told(*[Retry("the server is busy", after=90)] * outbox.MAX_ATTEMPTS)

    send(engine, sender)
    waiting = OutboundMessage.objects.get()
    pause = waiting.next_attempt_at - waiting.created_at
    assert (waiting.status, waiting.error, waiting.attempts) == ("queued", "the server is busy", 1)
    assert pause >= timedelta(seconds=90)

    for _ in range(outbox.MAX_ATTEMPTS - 1):
        make_due()
        send(engine, sender)
    assert OutboundMessage.objects.get().status == "dead"
    assert "given up after 15 attempts" in OutboundMessage.objects.get().error


def test_a_sender_that_breaks_loses_nothing(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)

    def broken() -> None:
        raise RuntimeError("xoxb-secret")

    send(engine, Told(meanwhile=broken))

    assert {(one.status, one.error) for one in OutboundMessage.objects.all()} == {("queued", "RuntimeError")}


def test_what_came_of_a_message_stands_in_the_record(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)

    send(engine, Told(Sent({"ts": "1.2"}), Dead("there is no such channel")))

    kinds = Entry.objects.filter(kind__startswith="notification.").values_list("kind", flat=True)
    assert sorted(kinds) == ["notification.dead", "notification.sent"]
    assert OutboundMessage.objects.get(status="sent").ref == {"ts": "1.2"}


def test_a_channel_that_this_gateway_does_not_have_is_said_to_be_missing(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)

    outbox.deliver(engine, outbox.due()[0], {})

    assert "has no channel" in OutboundMessage.objects.get(status="dead").error


def test_messages_of_long_ago_are_forgotten_and_those_that_wait_are_not(engine: Runtime) -> None:  # noqa: F811
    vote(routed(), ALICE)
    OutboundMessage.objects.update(created_at=F("created_at") - outbox.KEPT)
    OutboundMessage.objects.filter(channel="slack").update(status="sent")

    assert outbox.forget_old() == 1
    assert OutboundMessage.objects.get().channel == "webhook"


@pytest.mark.promise("rule-at-once")
def test_a_worker_that_hears_of_no_publication_tells_by_the_policy_of_now(engine: Runtime) -> None:  # noqa: F811
    request = routed()
    vote(request, ALICE)
    before = engine.policies.current.revision
    text = policy_text(rules=[*RULES, {"name": "more", "action": "deny", "match": {"tools": ["nothing"]}}])
    publish(engine.journal, Policies(), load(text), author="another process")
    assert engine.policies.current.revision == before

    entry = outbox.entry(engine, OutboundMessage.objects.filter(channel="slack").latest("id"), "sent")

    assert entry.policy_revision == before + 1
