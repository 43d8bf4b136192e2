"""Payloads that are erased: at the end of their time, on request by two people, never while they are held."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals import erasure
from approvals.database import database_now
from approvals.erasure import Refused
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.standing import caller_of
from approvals.verdicts import Caller
from sessions import erasing
from sessions import leaf as leaves
from sessions.evidence.export import Wanted as Period
from sessions.evidence.gwverify.verification import ERASURES
from sessions.models import Entry, ErasureRequest, LegalHold, Payload, RecordedSession
from sessions.search import calls
from sessions.search.calls import Wanted
from tests.evidence import exported, files_of, findings, signed_anew
from tests.held import HENRY, browser, house, publish_policy, signed_in
from tests.people import ALICE, CONNECTION, DAVE, GRACE, Human
from tests.record import Log, tamper
from tests.replayed import SESSION, log, replayed

__all__ = ["house", "log"]
pytestmark = pytest.mark.promise("provable")


@pytest.fixture
def request_(house: Runtime, log: Log) -> ApprovalRequest:
    return replayed(house, log)


def person(human: Human, house: Runtime) -> Caller:
    return caller_of(signed_in(human), house.policies.current.policy)


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    now = database_now() + timedelta(days=days)
    monkeypatch.setattr(erasure, "database_now", lambda: now)


def of_session() -> int:
    hashes = Entry.objects.filter(session=SESSION).values("leaf_hash")
    return Payload.objects.filter(leaf_hash__in=hashes).count()


def sound(log: Log) -> bool:
    log.sequencer.run_once()
    return log.verify() == []


def shown(who: Any, path: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", browser(who).get(path).content.decode()).split())


def test_payloads_are_erased_at_the_end_of_their_time_and_proofs_stay(
    request_: ApprovalRequest, house: Runtime, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_session()
    later(monkeypatch, 399.9)
    assert erasure.run(house) == 0
    assert of_session() == before > 5
    later(monkeypatch, 400.1)
    assert erasure.run(house) == before

    assert of_session() == 0
    assert Payload.objects.filter(name="document").exists(), "what belongs to no connection stays"
    assert erasure.run(house) == 0
    assert sound(log)
    page = shown(GRACE, f"/sessions/{SESSION}/")
    assert "at the end of its time; its commitment" in page
    assert "seven rows" not in page
    assert calls.count(Wanted(text="orders")) == (0, True)
    assert calls.count(Wanted(masked="email")) == (1, True)


def test_each_connection_has_its_own_lifetime(
    request_: ApprovalRequest, house: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = house.policies.current.policy.config.connections[CONNECTION]
    document = connection.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    publish_policy(connections={CONNECTION: {**document, "keep_payloads": "7d"}})
    later(monkeypatch, 6.9)
    assert erasure.run(house) == 0
    later(monkeypatch, 7.1)
    assert erasure.run(house) > 5
    assert "7 d" in shown(DAVE, "/retention/")


def test_what_was_erased_is_gone_from_working_tables_too(
    request_: ApprovalRequest, house: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ApprovalRequest.objects.update(status="executed")
    RecordedSession.objects.update(run="nightly")
    later(monkeypatch, 500)
    erasure.run(house)
    assert erasure.forget() == 0

    row = ApprovalRequest.objects.get()
    assert (row.arguments, row.reason, row.votes.get().comment) == ('{"erased": true}', "", "")
    assert RecordedSession.objects.get().run == ""
    assert "815" not in shown(ALICE, f"/approvals/{row.pk}/")


def test_what_is_held_stays_until_the_hold_is_lifted(
    request_: ApprovalRequest, house: Runtime, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, grace = of_session(), person(GRACE, house)
    hold = erasure.place(house, grace, "case 7", call_id=request_.call_id)
    with pytest.raises(Refused, match="legal hold"):
        erasure.ask(house, grace, SESSION, "", "asked for")
    later(monkeypatch, 500)
    erasure.run(house)
    kept = of_session()
    assert 0 < kept < before
    assert set(Payload.objects.exclude(call_id="").values_list("call_id", flat=True)) == {request_.call_id}

    erasure.lift(house, person(DAVE, house), hold, "case closed")
    assert erasure.run(house) == kept
    assert of_session() == 0
    assert sound(log)
    told = {entry.kind: bytes(entry.leaf) for entry in Entry.objects.filter(kind__startswith="payload.")}
    assert hold.pk.encode() in told["payload.held"]
    assert hold.pk.encode() in told["payload.released"]
    assert b"case 7" not in told["payload.held"]
    with pytest.raises(Refused, match="lifted in the meantime"):
        erasure.lift(house, grace, hold, "again")


def test_an_erasure_takes_a_reason_and_two_people(request_: ApprovalRequest, house: Runtime, log: Log) -> None:
    grace, dave = person(GRACE, house), person(DAVE, house)
    with pytest.raises(Refused, match="Say why"):
        erasure.ask(house, grace, SESSION, "", " ")
    with pytest.raises(Refused, match="no such session"):
        erasure.ask(house, grace, "other", "", "asked for")
    row = erasure.ask(house, grace, SESSION, "c-read", "Article 17")
    with pytest.raises(Refused, match="another person"):
        erasure.confirm(house, grace, row)
    assert erasure.run(house) == 0
    erasure.confirm(house, dave, row)
    assert erasure.run(house) == 2
    row.refresh_from_db()

    assert (row.status, row.erased) == ("done", 2)
    assert not Payload.objects.filter(call_id="c-read").exists()
    assert Payload.objects.filter(call_id=request_.call_id).exists()
    assert sound(log)
    erased = Entry.objects.get(kind="payload.erased")
    facts = leaves.decode(bytes(erased.leaf)).facts
    assert (facts["why"], facts["request"], str(facts["commitments"]).count(",") + 1) == ("request", row.pk, 2)
    assert facts["asked_by"] != facts["confirmed_by"] == erased.actor
    page = shown(GRACE, f"/sessions/{SESSION}/?call=c-read")
    assert "decided by two people" in page
    row.refresh_from_db()
    for end in (erasure.withdraw, erasure.confirm):
        with pytest.raises(Refused):
            end(house, dave, row)


def test_a_crash_between_entry_and_deletion_loses_nothing_and_is_made_good(
    request_: ApprovalRequest, house: Runtime, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_session()
    later(monkeypatch, 500)
    with monkeypatch.context() as broken:
        broken.setattr(erasing, "erase", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.run(house)
    assert of_session() == before
    assert sound(log)

    assert erasure.run(house) == before
    assert sound(log)


def test_a_payload_that_is_gone_without_an_entry_is_found(request_: ApprovalRequest, house: Runtime, log: Log) -> None:
    tamper("DELETE FROM mcp_sessions_payload WHERE call_id = 'c-read'")

    assert {finding.kind for finding in log.verify()} == {"payload missing"}
    assert "gone, and no erasure of it" in shown(GRACE, f"/sessions/{SESSION}/")


def test_the_page_holds_lifts_asks_and_confirms(request_: ApprovalRequest, house: Runtime) -> None:
    grace, dave = browser(GRACE), browser(DAVE)
    grace.post("/retention/holds/", {"connection": CONNECTION, "reason": "case 7"})
    assert "A legal hold stands on it" in str(
        dave.post("/retention/erasures/", {"session": SESSION, "reason": "asked"}, follow=True).content
    )
    hold = LegalHold.objects.get()
    assert f"connection {CONNECTION}" in shown(GRACE, "/retention/")
    dave.post(f"/retention/holds/{hold.pk}/lift/", {"reason": "closed"})
    dave.post("/retention/erasures/", {"session": SESSION, "reason": "asked"})
    row = ErasureRequest.objects.get()
    dave.post(f"/retention/erasures/{row.pk}/confirm/")
    assert ErasureRequest.objects.get().status == "waiting"
    assert "Erase it for good" in shown(GRACE, "/retention/")
    assert "another person must confirm it" in shown(DAVE, "/retention/")
    grace.post(f"/retention/erasures/{row.pk}/confirm/")
    assert ErasureRequest.objects.get().status == "confirmed"
    for who in (ALICE, HENRY):
        assert browser(who).get("/retention/").status_code == 404
        assert browser(who).post("/retention/holds/", {"connection": CONNECTION, "reason": "x"}).status_code == 404


def test_the_api_does_the_same(request_: ApprovalRequest, house: Runtime) -> None:
    def post(who: Any, path: str, status: int, **body: str) -> Any:
        answer = browser(who).post(f"/api/v1/{path}", body, content_type="application/json")
        assert answer.status_code == status, answer.content
        return answer.json()

    hold = post(GRACE, "holds/", 201, session=SESSION, reason="case 7")
    assert post(DAVE, "erasures/", 409, session=SESSION, reason="asked")["message"].startswith("A legal hold")
    post(DAVE, f"holds/{hold['id']}/lift/", 200, reason="closed")
    assert post(GRACE, "holds/", 409, reason="everything")["message"].startswith("Name a connection")
    assert post(GRACE, "holds/", 400, colour="red")["errors"] == {"colour": ["unknown"]}
    made = post(DAVE, "erasures/", 201, session=SESSION, reason="asked")
    post(DAVE, f"erasures/{made['id']}/confirm/", 409)
    assert post(GRACE, f"erasures/{made['id']}/withdraw/", 200)["status"] == "withdrawn"
    assert browser(GRACE).get("/api/v1/holds/").json()["results"][0]["lifted_by"] == DAVE.name
    assert browser(GRACE).get("/api/v1/erasures/").json()["results"][0]["asked_by"] == DAVE.name
    assert browser(ALICE).get("/api/v1/holds/").status_code == 404
    post(HENRY, "erasures/", 404, session=SESSION, reason="mine")


def test_a_bundle_of_a_period_before_the_erasure_proves_that_it_was_erased(
    request_: ApprovalRequest, house: Runtime, log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = database_now()
    log.sequencer.run_once()
    kept = files_of(exported(log, tmp_path / "kept.zip", Period(end - timedelta(days=1), end)).path)
    later(monkeypatch, 500)
    gone = erasure.run(house)
    log.sequencer.run_once()
    made = exported(log, tmp_path / "erased.zip", Period(end - timedelta(days=1), end))
    erased = files_of(made.path)
    key = str(log.signer.verify_key)

    assert findings(kept, key) == []
    assert findings(erased, key) == []
    assert b"seven rows" in kept["log/payloads.jsonl"]
    assert b"seven rows" not in b"".join(erased.values())
    assert f"{gone}" in erased["README.html"].decode().split("Erased, each by an entry")[1][:200]
    without = {name: content for name, content in erased.items() if name != ERASURES}
    assert any("payload missing" in one for one in findings(signed_anew(without, log.signer), key))
    forged = {**erased, ERASURES: erased[ERASURES].replace(b'"i": ', b'"i": 1')}
    assert any("no such entry of this log" in one for one in findings(signed_anew(forged, log.signer), key))
