"""The ways by which people hear of a request, from the held call to real receivers, and what happens when one fails."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from approvals import outbox
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.notices import routes
from approvals.notices.models import Attempt, RouteState
from sessions.models import Entry
from tests.engine import vote
from tests.held import browser, held
from tests.people import ALICE
from tests.receiver import Answering
from tests.ways import NEXT_SECRET, SECRET, Ways, messages, ways  # noqa: F401 - a fixture

GUARD = 15.0


def state(key: str) -> RouteState:
    return RouteState.objects.get(pk=key)


def test_a_held_call_is_told_by_every_way_with_a_link_that_decides_nothing(ways: Ways) -> None:  # noqa: F811
    request = held()

    assert ways.send() == 3

    url = f"http://localhost/approvals/{request.pk}/"
    letter = ways.mail.wait().get_body(("plain",))
    assert letter is not None
    assert url in letter.get_content()
    event = ways.ops.wait()
    assert Webhook(SECRET).verify(event.body, event.headers)["data"]["approval"] == request.pk
    assert event.json["data"]["url"] == url
    (attachment,) = ways.teams.wait().json["attachments"]
    assert attachment["content"]["actions"] == [{"type": "Action.OpenUrl", "title": "Open in Holdgate", "url": url}]
    for person in (browser(ALICE), browser(ALICE, enforce_csrf_checks=True)):
        assert person.get(url).status_code == 200
    assert ApprovalRequest.objects.get().status == "pending"


def test_programs_follow_everything_and_people_hear_of_what_matters(ways: Ways) -> None:  # noqa: F811
    request = held()
    ways.send()
    vote(request, ALICE)
    ways.send()

    assert messages(channel="webhook") == [("webhook", one, "sent") for one in ("requested", "voted", "approved")]
    assert messages(channel="email") == [
        ("email", "requested", "sent"),
        ("email", "voted", "skipped"),
        ("email", "approved", "sent"),
    ]
    first, then = ways.mail.wait(), ways.mail.wait()
    assert then["Subject"] == "Approved: query on orders-db"
    assert then["References"] == first["Message-ID"]


def test_nobody_is_asked_for_what_was_decided_meanwhile(ways: Ways) -> None:  # noqa: F811
    request = held()
    vote(request, ALICE, "deny", comment="not now")

    ways.send()

    assert ("email", "requested", "skipped") in messages()
    assert ways.mail.wait()["Subject"] == "Denied: query on orders-db"
    assert ways.ops.wait().json["data"]["status"] == "denied"


def test_an_event_is_sent_again_under_its_id_until_it_is_taken(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"})
    ways.ops.next = [Answering(503), Answering(429, {"Retry-After": "30"})]
    held()
    for _ in range(3):
        ways.send()
        ways.later()

    sent = [ways.ops.wait() for _ in range(3)]
    assert len({one.headers["webhook-id"] for one in sent}) == 1
    assert messages() == [("webhook", "requested", "sent")]
    log = [(one.number, one.outcome, one.said) for one in Attempt.objects.order_by("number")]
    assert log == [(1, "retry", "answered 503"), (2, "retry", "answered 429"), (3, "sent", "answered 200")]


def test_two_secrets_sign_while_they_are_exchanged_and_arguments_are_masked(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "spare"})
    held(sql="DELETE FROM orders", note="mail eve@example.org, password=hunter2hunter2")
    ways.send()

    event = ways.spare.wait()
    for secret in (SECRET, NEXT_SECRET):
        assert Webhook(secret).verify(event.body, event.headers)
    assert event.json["data"]["arguments"]["sql"] == "DELETE FROM orders"
    assert b"hunter2" not in event.body
    assert b"eve@example.org" not in event.body


def test_no_secret_is_in_what_is_kept_of_a_failure(ways: Ways) -> None:  # noqa: F811
    ways.ops.answer = ways.teams.answer = Answering(500)
    ways.mail.answers = ["450 later"]
    held()
    ways.send()

    kept = [*OutboundMessage.objects.values_list("error", flat=True), *Attempt.objects.values_list("said", flat=True)]
    kept += RouteState.objects.values_list("last_error", flat=True)
    assert len(kept) == 9
    for text in kept:
        assert not {"hooks", "127.0.0.1", "whsec_"} & set(text.split("/")), text


def test_a_dead_route_is_told_by_the_fallback_once(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"}, {"teams": "dba"}, fallback=[{"email": "operations@example.com"}])
    ways.ops.answer = Answering(404)
    ways.teams.answer = Answering(410)
    held()

    ways.send()

    assert ("email", "requested", "sent") in messages()
    assert ways.mail.wait()["To"] == "operations@example.com"
    assert ways.mail.mails.empty()
    assert state("webhook:ops").is_dead
    assert Entry.objects.filter(kind="notification.dead").count() == 2


def test_a_route_that_goes_on_failing_is_told_by_the_fallback_soon(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"}, fallback=[{"webhook": "spare"}])
    ways.ops.answer = Answering(500)
    held()
    for _ in range(routes.PATIENCE + 2):
        assert len(messages()) == (1 if state_attempts() < routes.PATIENCE else 2)
        ways.send()
        ways.later()

    assert messages() == [("webhook", "requested", "queued"), ("webhook", "requested", "sent")]
    assert ways.spare.wait().json["type"] == "approval.requested"


def state_attempts() -> int:
    found = RouteState.objects.filter(pk="webhook:ops").first()
    return found.failures if found else 0


def test_a_fallback_that_is_dead_too_ends_there(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"}, fallback=[{"webhook": "spare"}, {"webhook": "ops"}])
    ways.ops.answer = ways.spare.answer = Answering(404)
    held()

    ways.send()

    assert messages() == [("webhook", "requested", "dead"), ("webhook", "requested", "dead")]


def test_a_route_that_hangs_delays_no_other_and_is_tried_by_one_message_at_a_time(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"}, {"webhook": "spare"})
    ways.ops.next = [Answering(503)]
    ways.ops.answer = Answering(silent=True)
    first, second = held(), held()
    due = outbox.due()
    assert len(due) == 4
    slow = [OutboundMessage.objects.get(approval=one.pk, target="ops").pk for one in (first, second)]
    outbox.deliver(ways.house, slow[0], {"webhook": lambda message, runtime: outbox.Retry("answered 503")})
    ways.later()

    hanging = threading.Thread(target=ways.send_one, args=(slow[0],))
    hanging.start()
    ways.ops.next.clear()
    ways.ops.wait()
    assert ways.send() == 2
    assert not outbox.deliver(ways.house, slow[1], {})
    assert messages(target="spare") == [("webhook", "requested", "sent")] * 2
    ways.ops.released.set()
    hanging.join(GUARD)
    assert messages(target="ops")[0] == ("webhook", "requested", "sent")


def test_what_waited_for_a_route_goes_out_when_it_works_again(ways: Ways) -> None:  # noqa: F811
    ways.publish({"webhook": "ops"})
    ways.ops.next = [Answering(503, {"Retry-After": "3600"})]
    held()
    ways.send()
    assert not outbox.due()
    routes.write_test("webhook", "ops")

    assert ways.send() == 2

    assert messages() == [("webhook", "requested", "sent"), ("webhook", "test", "sent")]
    assert ways.ops.wait().json["type"] == "approval.requested"
    assert [ways.ops.wait().json["type"] for _ in range(2)] == ["test", "approval.requested"]


@pytest.mark.parametrize("kind", ["email", "webhook", "teams"])
def test_a_route_that_the_policy_names_no_more_ends_its_messages(ways: Ways, kind: str) -> None:  # noqa: F811
    held()
    left: dict[str, Any] = {"email": None, "webhooks": {}, "teams": {}}
    ways.publish({"slack": "#db"}, slack={"bot_token": "env:A", "signing_secret": "env:B"}, **left)

    ways.send()

    assert messages(channel=kind) == [(kind, "requested", "dead")]


def test_a_secret_that_is_missing_is_said_and_nothing_is_sent(
    ways: Ways,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_SHORT", "hunter2")
    ways.publish({"webhook": "ops"}, webhooks={"ops": {"url": ways.ops.url, "secret": "env:OPS_SHORT"}})
    held()

    ways.send()

    assert "its secret cannot be used" in state("webhook:ops").last_error
    assert "hunter2" not in state("webhook:ops").last_error
    assert ways.ops.posted.empty()
