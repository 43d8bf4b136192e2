"""Notifications in browsers: encrypted for each, to those who may decide, and saying nothing of the call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from approvals.notices import push, push_encryption
from approvals.notices.browsers import named
from approvals.notices.models import PushSubscription
from tests.engine import vote
from tests.held import browser, caller, held
from tests.people import ALICE, BOB, CAROL, DAVE
from tests.push_service import Subscribed, read, vouched_for, written
from tests.receiver import Answering, Receiver, receiver
from tests.ways import Ways, messages
from tests.ways import ways as ways

# The example of RFC 8291, appendix A.
TEXT = b"When I grow up, I want to be a watermelon"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
OWN = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


@pytest.fixture
def service(ways: Ways, settings: Any) -> Iterator[Receiver]:
    settings.PUSH_SERVICES = ["127.0.0.1"]
    ways.publish({"push": "approvers"}, push={"contact": "operations@example.com"})
    with receiver() as made:
        made.answer = Answering(201)
        yield made


def subscribed(human: Any, service: Receiver, name: str = "") -> Subscribed:
    made = Subscribed(f"{service.url}/{name or human.sub}")
    client = browser(human)
    answer = client.post("/me/browsers/add/", json.dumps(made.document), content_type="application/json")
    assert answer.status_code == 201, answer.content
    return made


def test_the_encryption_is_that_of_the_standard() -> None:
    own = ec.derive_private_key(int.from_bytes(read(OWN)), ec.SECP256R1())
    assert written(push_encryption.encrypt(TEXT, read(P256DH), read(AUTH), own=own, salt=read(SALT))) == SEALED


def test_each_browser_of_who_may_decide_is_told_that_something_waits_and_no_more(ways: Ways, service: Receiver) -> None:
    told = {f"/hooks/holdgate/{one.endpoint.rpartition('/')[2]}": one for one in (
        subscribed(ALICE, service), subscribed(ALICE, service, "phone"), subscribed(BOB, service)
    )}  # fmt: skip
    subscribed(CAROL, service)
    subscribed(DAVE, service)
    request = held(sql="DELETE FROM orders")

    assert ways.send() == 1

    posted = [service.wait() for _ in told]
    assert {one.path for one in posted} == set(told)
    assert service.posted.empty()
    for one in posted:
        said = told[one.path].reads(one)
        assert said == {"text": "1 approval waits", "url": f"/approvals/{request.pk}/", "tag": request.pk}
        assert one.headers["content-encoding"] == "aes128gcm"
        assert 0 < int(one.headers["ttl"]) <= 1800
        assert len(one.headers["topic"]) <= 32
        assert vouched_for(one, service)["sub"] == "mailto:operations@example.com"
    assert messages() == [("push", "requested", "sent")]


def test_the_requester_is_not_asked_for_their_own_call(ways: Ways, service: Receiver) -> None:
    subscribed(ALICE, service)
    held(caller(ALICE))
    ways.send()
    assert messages() == [("push", "requested", "skipped")]
    assert service.posted.empty()


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_is_forgotten(ways: Ways, service: Receiver, status: int) -> None:
    subscribed(ALICE, service)
    service.answer = Answering(status)
    held()
    ways.send()
    assert messages() == [("push", "requested", "skipped")]
    assert not PushSubscription.objects.exists()


def test_a_push_service_that_is_busy_is_asked_again(ways: Ways, service: Receiver) -> None:
    subscribed(ALICE, service)
    service.next = [Answering(429, {"Retry-After": "2"})]
    held()
    ways.send()
    assert messages() == [("push", "requested", "queued")]
    ways.later()
    ways.send()
    assert messages() == [("push", "requested", "sent")]


def test_where_one_browser_was_reached_the_others_are_no_reason_to_disturb_it_again(
    ways: Ways, service: Receiver
) -> None:
    subscribed(ALICE, service)
    subscribed(BOB, service)
    service.next = [Answering(500)]
    held()
    ways.send()
    assert messages() == [("push", "requested", "sent")]


def test_what_is_decided_pushes_nothing(ways: Ways, service: Receiver) -> None:
    subscribed(ALICE, service)
    vote(held(), ALICE)
    ways.send()
    assert {status for _, _, status in messages()} == {"skipped"}
    assert service.posted.empty()


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://intranet.example.com/x",
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://user:pass@fcm.googleapis.com/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilfcm.googleapis.com.example/x",
        "http://169.254.169.254/latest",
        "https://[::1/x",
        "file:///etc/passwd",
    ],
)
def test_no_browser_makes_the_gateway_call_anybody_but_a_push_service(ways: Ways, endpoint: str) -> None:
    ways.publish({"push": "approvers"}, push={"contact": "operations@example.com"})
    document = json.dumps(Subscribed(endpoint).document)
    answer = browser(ALICE).post("/me/browsers/add/", document, content_type="application/json")
    assert answer.status_code == 400
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize("endpoint", ["https://fcm.googleapis.com/fcm/send/x", "https://web.push.apple.com/x"])
def test_known_push_services_are_taken(ways: Ways, endpoint: str) -> None:
    assert push._is_known(endpoint)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        '{"endpoint": 5}',
        '{"endpoint": "https://fcm.googleapis.com/x", "keys": {"p256dh": "AA"}}',
        '{"endpoint": "http://127.0.0.1/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}',
        '"' + "x" * 5000 + '"',
    ],
)
def test_what_no_browser_would_send_is_refused(service: Receiver, body: str) -> None:
    answer = browser(ALICE).post("/me/browsers/add/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_the_page_lists_and_removes_ones_own_browsers_alone(service: Receiver) -> None:
    assert "None of your browsers is told." in browser(ALICE).get("/me/browsers/").content.decode()
    subscribed(ALICE, service)
    subscribed(BOB, service)
    bobs = PushSubscription.objects.get(person__sub="bob")
    browser(ALICE).post(f"/me/browsers/{bobs.pk}/remove/")
    mine = PushSubscription.objects.get(person__sub="alice")
    assert f"/me/browsers/{mine.pk}/remove/" in browser(ALICE).get("/me/browsers/").content.decode()
    browser(ALICE).post(f"/me/browsers/{mine.pk}/remove/")
    assert PushSubscription.objects.get() == bobs
    stranger = browser(ALICE, enforce_csrf_checks=True)
    assert stranger.post("/me/browsers/add/", "{}", content_type="application/json").status_code == 403


def test_a_browser_belongs_to_who_added_it_last_and_nobody_has_too_many(service: Receiver) -> None:
    for number in range(push.MOST_OF_A_PERSON + 2):
        subscribed(ALICE, service, str(number))
    assert PushSubscription.objects.count() == push.MOST_OF_A_PERSON
    subscribed(BOB, service, "11")
    assert PushSubscription.objects.filter(person__sub="bob").count() == 1
    assert PushSubscription.objects.count() == push.MOST_OF_A_PERSON


def test_nothing_readable_of_a_subscription_is_in_the_database(service: Receiver) -> None:
    subscribed(ALICE, service)
    row = PushSubscription.objects.get()
    assert b"hooks" not in bytes(row.sealed)
    assert "hooks" not in row.digest


def test_a_gateway_that_offers_none_takes_none(ways: Ways) -> None:
    page = browser(ALICE).get("/me/browsers/").content.decode()
    assert "This gateway tells no browsers" in page
    assert browser(ALICE).post("/me/browsers/add/", "{}", content_type="application/json").status_code == 400


def test_browsers_have_short_names() -> None:
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36"
    assert named(chrome) == "Chrome on Linux"
    assert named(chrome + " Edg/156.0") == "Edge on Linux"
    assert named("<script>") == "A browser"
