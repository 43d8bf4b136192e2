"""Sessions of browsers end: by idleness, by age, by signing out, and by switching the person off."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from approvals import deactivation
from approvals.consumers import UNAUTHENTICATED
from approvals.models import Person
from approvals.runtime import Runtime
from gatewayproj.browser_sessions import BEGAN, SEEN
from gatewayproj.tasks import clear_sessions
from sessions.models import Entry
from tests.held import ISS, bearer, browser, held, house, publish_policy, publish_with_keys, signed_in
from tests.issuer import running_issuer
from tests.people import ALICE, BOB, DAVE

__all__ = ["house"]
Session = SessionStore.get_model_class()
SOON = 5.0


def earlier(client: Client, **seconds: float) -> None:
    """Make a session as if what happened in it had happened so many seconds before."""
    session = client.session
    for name, ago in seconds.items():
        session[{"began": BEGAN, "seen": SEEN}[name]] -= ago
    session.save()


def ends_in(client: Client) -> float:
    """Return the seconds until the session's row is dead."""
    row = Session.objects.get(session_key=client.session.session_key)
    return (row.expire_date - timezone.now()).total_seconds()


def is_inside(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_a_session_lives_for_as_long_as_somebody_uses_it(house: Runtime, settings: Any) -> None:
    alice = browser(ALICE)
    earlier(alice, seen=120)
    Session.objects.update(expire_date=timezone.now() + timedelta(seconds=5))

    assert is_inside(alice)
    assert ends_in(alice) > settings.SESSION_IDLE_SECONDS - 60


def test_an_idle_session_ends(house: Runtime) -> None:
    alice = browser(ALICE)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert not is_inside(alice)


def test_a_page_that_brings_itself_up_to_date_keeps_no_session(house: Runtime) -> None:
    alice = browser(ALICE)
    earlier(alice, seen=120)
    before = ends_in(alice)

    assert alice.get("/", headers={"sec-fetch-dest": "empty"}).status_code == 200
    assert ends_in(alice) <= before


def test_a_session_ends_some_hours_after_the_sign_in_however_busy_it_is(house: Runtime, settings: Any) -> None:
    alice = browser(ALICE)
    earlier(alice, began=settings.SESSION_SECONDS - 30, seen=120)

    assert is_inside(alice)
    assert ends_in(alice) <= 30
    assert int(alice.cookies["sessionid"]["max-age"]) <= 30


def test_switching_somebody_off_ends_their_sessions_for_good(house: Runtime) -> None:
    alice, bob = browser(ALICE), browser(BOB)
    person = Person.objects.get(sub=ALICE.sub)

    deactivation.deactivate(house, person, by="tests")
    assert not is_inside(alice)
    deactivation.reactivate(house, person, by="tests")
    assert not is_inside(alice)

    assert is_inside(bob)
    assert is_inside(browser(ALICE))


def test_an_admin_switches_people_off_and_on_in_the_admin_and_never_themselves(house: Runtime) -> None:
    alice, dave = browser(ALICE), browser(DAVE)
    everybody = list(Person.objects.values_list("pk", flat=True))

    def act(action: str) -> None:
        answer = dave.post("/admin/approvals/person/", {"action": action, "_selected_action": everybody})
        assert answer.status_code == 302

    act("deactivate")
    assert set(Person.objects.filter(is_active=False).values_list("sub", flat=True)) == {ALICE.sub}
    assert not is_inside(alice)
    act("reactivate")
    assert not Person.objects.filter(is_active=False).exists()
    alice = browser(ALICE)
    act("sign_out")
    assert not is_inside(alice)
    kinds = list(Entry.objects.order_by("id").values_list("kind", flat=True))
    assert [kind for kind in kinds if kind.startswith("person.")] == [
        "person.deactivated",
        "person.reactivated",
        *["person.signed_out"] * 2,
    ]


def test_who_is_no_admin_switches_nobody_off(house: Runtime) -> None:
    alice = browser(ALICE)
    person = signed_in(BOB)

    answer = alice.post("/admin/approvals/person/", {"action": "deactivate", "_selected_action": [person.pk]})

    assert answer.status_code in (302, 403)
    assert not Person.objects.filter(is_active=False).exists()


def test_rows_of_ended_sessions_are_cleared_away(house: Runtime) -> None:
    alice = browser(ALICE)
    browser(BOB)
    Session.objects.exclude(session_key=alice.session.session_key).update(expire_date=timezone.now())

    clear_sessions()

    assert Session.objects.get().session_key == alice.session.session_key


def test_who_is_deactivated_uses_the_api_no_more(house: Runtime, tmp_path: Path) -> None:
    with running_issuer() as issuer:
        publish_with_keys(issuer, tmp_path)
        token = issuer.token(ALICE.sub, iss=ISS, **ALICE.claims)
        api = bearer(f"Bearer {token}")
        assert api.get("/api/v1/approvals/").status_code == 200

        deactivation.deactivate(house, signed_in(ALICE), by="tests")

        assert api.get("/api/v1/approvals/").status_code == 401


async def opened(session_key: str, about: str = "") -> Any:
    """Open the live inbox with the cookie of a browser, through everything that stands before it."""
    from gatewayproj.asgi import inbox

    scope = {
        "type": "websocket",
        "path": "/ws/inbox/",
        "query_string": f"about={about}".encode() if about else b"",
        "headers": [
            (b"host", b"localhost"),
            (b"origin", b"http://localhost"),
            (b"cookie", f"sessionid={session_key}".encode()),
        ],
    }
    communicator: Any = ApplicationCommunicator
    socket = communicator(inbox, scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(SOON))["type"] == "websocket.accept"
    return socket


@pytest.mark.parametrize("on_one_request", [False, True])
@pytest.mark.parametrize("how", ["deactivated", "signed out elsewhere", "signed out", "idle"])
def test_an_open_page_is_closed_at_once_when_its_session_ends(how: str, on_one_request: bool, house: Runtime) -> None:
    publish_policy()
    alice = browser(ALICE)
    person = Person.objects.get(sub=ALICE.sub)
    about = held().pk if on_one_request else ""

    def end() -> None:
        if how == "deactivated":
            deactivation.deactivate(house, person, by="tests")
        elif how == "signed out elsewhere":
            deactivation.end_sessions(house, person, by="tests")
        elif how == "signed out":
            alice.post("/sign-out/")
        else:
            Session.objects.update(expire_date=timezone.now())
            house.waiting.hint([about or "whatever"])  # the page hears nothing of it any more

    async def main() -> dict[str, Any]:
        house.waiting.start()
        socket = await opened(alice.session.session_key or "", about)
        await asyncio.to_thread(end)
        said: dict[str, Any] = await socket.receive_output(SOON)
        await house.waiting.stop()
        return said

    said = asyncio.run(main())
    assert (said["type"], said["code"]) == ("websocket.close", UNAUTHENTICATED)
