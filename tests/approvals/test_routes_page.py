"""What people and monitors learn of the routes, and what an operator can do about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import Client

from approvals.models import OutboundMessage
from approvals.notices import health, pages
from approvals.runtime import Runtime, runtime
from gatewayproj import health as readiness
from sessions.models import Entry
from tests.held import RULES, anonymous, browser, held, publish_policy
from tests.held import house as house
from tests.people import ALICE, DAVE, EVE, GRACE
from tests.receiver import Answering
from tests.ways import Ways, messages
from tests.ways import ways as ways

FAILING = Answering(404)


def standings() -> dict[str, str]:
    config = runtime().policies.current.policy.config
    return {f"{one.channel}:{one.target}": one.standing for one in health.health_of(config)}


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_a_route_that_was_never_used_one_that_works_and_one_that_does_not_are_told_apart(
    ways: Ways, settings: Any
) -> None:
    assert standings() == {"email:dba@example.com": "new", "webhook:ops": "new", "teams:dba": "new"}
    ways.ops.answer = FAILING
    held()
    ways.send()
    assert standings() == {"email:dba@example.com": "works", "webhook:ops": "dead", "teams:dba": "works"}
    settings.EMAIL_HOST = ""
    assert standings()["email:dba@example.com"] == "unset"


def test_one_failure_is_no_alarm_and_three_are(ways: Ways) -> None:
    ways.ops.answer = Answering(503)
    held()
    for attempt in range(1, 4):
        ways.send()
        ways.later()
        assert standings()["webhook:ops"] == ("failing" if attempt == 3 else "new"), attempt
    ways.ops.answer = Answering(200)
    ways.send()
    assert standings()["webhook:ops"] == "works"


@pytest.mark.parametrize("person", [ALICE, DAVE])
def test_a_rule_whose_route_is_broken_says_so_on_the_dashboard(ways: Ways, person: Any) -> None:
    ways.ops.answer = FAILING
    held()
    assert "does not work" not in shown(browser(person), "/")
    ways.send()
    assert "webhook ops (rule writes-need-a-dba) does not work since" in shown(browser(person), "/")
    assert "does not work" not in shown(browser(EVE), "/")


def test_what_is_not_set_up_is_said_before_anybody_waits_for_it(
    ways: Ways, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    ways.publish(webhooks={"ops": {"url": ways.ops.url, "secret": "env:NOT_THERE"}})
    settings.EMAIL_HOST = ""
    told = health.broken_routes(runtime().policies.current.policy.config)
    assert told == [
        "mail to dba@example.com (rule writes-need-a-dba) does not work: no mail server is configured; set"
        " HOLDGATE_EMAIL_URL",
        "webhook ops (rule writes-need-a-dba) does not work: env:NOT_THERE: the environment has no NOT_THERE",
    ]
    assert told == [one.msg for one in run_checks(databases=["default"]) if one.id == "holdgate.W002"]


def test_links_that_lead_nowhere_are_said(ways: Ways, settings: Any) -> None:
    settings.PUBLIC_URL = ""
    assert "HOLDGATE_PUBLIC_URL" in health.broken_routes(runtime().policies.current.policy.config)[-1]


def test_readiness_names_a_broken_route_without_its_address_and_stays_ready(ways: Ways) -> None:
    ways.ops.answer = ways.teams.answer = FAILING
    held()
    ways.send()
    readiness._routes._until = 0
    response = anonymous().get("/readyz")
    assert response.status_code == 200
    assert response.json()["routes"] == [
        "webhook of rule writes-need-a-dba does not work",
        "teams of rule writes-need-a-dba does not work",
    ]


def test_deliveries_are_counted_for_prometheus_wherever_they_were_made(ways: Ways) -> None:
    ways.ops.answer = Answering(503)
    held()
    ways.send()
    text = anonymous(REMOTE_ADDR="127.0.0.1").get("/metrics").content.decode()
    assert 'holdgate_deliveries_total{channel="email",outcome="sent"} 1.0' in text
    assert 'holdgate_deliveries_total{channel="webhook",outcome="failed"} 1.0' in text
    assert "holdgate_notifications_queued 1.0" in text


def test_the_page_of_routes_is_for_who_runs_the_gateway(ways: Ways) -> None:
    held()
    ways.send()
    for person in (DAVE, GRACE):
        page = shown(browser(person), "/routes/")
        assert "Mail to dba@example.com" in page
        assert "answered 200" in page
    assert "Send a test" not in shown(browser(GRACE), "/routes/")
    for other in (ALICE, EVE):
        assert browser(other).get("/routes/").status_code == 403
    assert anonymous().get("/routes/").status_code == 302


def test_without_routes_the_page_says_what_to_do(house: Any) -> None:
    page = shown(browser(DAVE), "/routes/")
    assert "The policy names no routes." in page
    assert "Nothing was sent yet." in page


def test_a_rule_that_names_a_route_twice_is_told_once(house: Runtime) -> None:
    glass = {**RULES[0]["approval"], "break_glass": {"groups": ["security"], "notify": [{"webhook": "ops"}]}}
    hook = {"ops": {"url": "https://ops.example.com/", "secret": "env:NOWHERE"}}
    rule = {**RULES[0], "approval": glass, "notify": [{"webhook": "ops"}]}
    publish_policy(rules=[rule, RULES[1]], channels={"webhooks": hook})
    assert health.routes_of(house.policies.current.policy.config) == {("webhook", "ops"): ("rule writes-need-a-dba",)}


def test_rules_that_tell_nobody_are_named(ways: Ways) -> None:
    assert "Nobody is told of what these rules hold: drops-need-two." in shown(browser(DAVE), "/routes/")


def test_a_test_goes_through_the_route_and_is_recorded(ways: Ways) -> None:
    for route in ({"channel": "webhook", "target": "ops"}, {"channel": "email", "target": "dba@example.com"}):
        assert browser(DAVE).post("/routes/test/", route).status_code == 302
    ways.send()
    assert ways.ops.wait().json == {
        "type": "test",
        "timestamp": OutboundMessage.objects.earliest("id").created_at.isoformat(),
        "data": {"url": "http://localhost/routes/"},
    }
    assert ways.mail.wait()["Subject"] == "Test: this route of Holdgate works"
    assert Entry.objects.filter(kind="notification.tested").count() == 2


def test_nobody_else_sends_a_test_and_no_route_that_the_policy_does_not_name(ways: Ways) -> None:
    route = {"channel": "webhook", "target": "ops"}
    assert browser(GRACE).post("/routes/test/", route).status_code == 403
    assert browser(ALICE).post("/routes/test/", route).status_code == 403
    assert browser(DAVE).post("/routes/test/", {**route, "target": "spare"}).status_code == 404
    assert browser(DAVE, enforce_csrf_checks=True).post("/routes/test/", route).status_code == 403
    assert browser(DAVE).get("/routes/test/").status_code == 405
    assert not OutboundMessage.objects.exists()


def test_what_was_given_up_is_sent_again_under_its_id(ways: Ways) -> None:
    ways.publish({"webhook": "ops"})
    ways.ops.next = [FAILING]
    held()
    ways.send()
    (row,) = OutboundMessage.objects.all()
    assert "Send again" in shown(browser(DAVE), "/routes/?show=dead")

    browser(DAVE).post(f"/routes/messages/{row.pk}/again/")
    ways.send()

    assert messages() == [("webhook", "requested", "sent")]
    assert ways.ops.wait().headers["webhook-id"] == ways.ops.wait().headers["webhook-id"] == row.pk
    assert Entry.objects.filter(kind="notification.sent_again").count() == 1


def test_what_is_under_way_or_was_mailed_is_not_sent_again(ways: Ways) -> None:
    held()
    for row in OutboundMessage.objects.all():
        browser(DAVE).post(f"/routes/messages/{row.pk}/again/")
    ways.send()
    mail = OutboundMessage.objects.get(channel="email")
    browser(DAVE).post(f"/routes/messages/{mail.pk}/again/")
    assert {status for _, _, status in messages()} == {"sent"}
    assert Entry.objects.filter(kind="notification.sent_again").count() == 0


def test_the_log_of_deliveries_is_an_api_too(ways: Ways) -> None:
    ways.ops.next = [Answering(503)]
    request = held()
    ways.send()
    ways.later()
    ways.send()
    client = browser(DAVE)
    found = client.get("/api/v1/deliveries/", {"channel": "webhook", "status": "sent"}).json()
    assert found["next"] is None
    (delivery,) = found["results"]
    assert delivery["approval"] == request.pk
    assert [(one["outcome"], one["said"]) for one in delivery["attempts"]] == [
        ("retry", "answered 503"),
        ("sent", "answered 200"),
    ]
    assert client.get("/api/v1/deliveries/", {"status": "pending"}).status_code == 400
    assert client.get("/api/v1/deliveries/", {"unknown": "1"}).status_code == 400
    assert "hooks" not in json.dumps(found)
    assert client.post(f"/api/v1/deliveries/{delivery['id']}/again/").status_code == 202
    assert client.post("/api/v1/deliveries/nothing/again/").status_code == 404
    for other in (ALICE, EVE):
        assert browser(other).get("/api/v1/deliveries/").status_code == 403
    assert browser(GRACE).get("/api/v1/deliveries/").status_code == 200
    assert browser(GRACE).post(f"/api/v1/deliveries/{delivery['id']}/again/").status_code == 403


def test_older_messages_are_on_the_next_page(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    ways.publish({"webhook": "ops"})
    for _ in range(pages.PAGE + 1):
        held()
    first = browser(DAVE).get("/routes/")
    assert len(first.context["sent"]) == pages.PAGE
    rest = browser(DAVE).get("/routes/", {"before": first.context["before"]})
    assert len(rest.context["sent"]) == 1
    assert not rest.context["before"]
    assert browser(DAVE).get("/routes/", {"show": "nonsense"}).status_code == 404


def test_a_policy_without_channels_is_healthy(house: Any) -> None:
    publish_policy()
    assert health.broken_routes(runtime().policies.current.policy.config) == []
