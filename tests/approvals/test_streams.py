"""The record on its way to other systems: over real sockets, in order, at least once, also after failures."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from standardwebhooks.webhooks import Webhook

from approvals.config.loader import ConfigError, load
from approvals.database import database_now
from approvals.runtime import Runtime
from approvals.streams import following
from approvals.streams.forms import OCSF, Placed, cef, ocsf, syslog
from approvals.streams.models import StreamProgress
from sessions.leaf import Leaf
from sessions.models import Entry
from sessions.progress import size
from tests.certificates import Authority
from tests.held import browser, house, policy_text, publish_policy
from tests.people import ALICE, DAVE, EVE, GRACE
from tests.receiver import Answering, receiver
from tests.record import Log
from tests.replayed import log, replayed
from tests.syslog_receiver import SyslogReceiver, syslog_receiver

__all__ = ["house", "log"]
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
LEAF = Leaf(
    origin="here", kind="call.blocked", ts="2026-11-29T01:02:03.000004Z", writer="w-1", n=7, build="0.1|0", revision=3,
    digest="ab" * 32, call="c-1", session="s-1", connection="db", method="tools/call", tool="a|b=c\\d\ne",
    actor="f0" * 16, facts={"rules": ["never"], "reason": "blocked"}, payloads={},
)  # fmt: skip
ENTRY = Placed(41, "cd" * 32, LEAF)


def publish(**streams: Any) -> None:
    publish_policy(channels={"streams": streams})


@pytest.fixture
def session(house: Runtime, log: Log) -> Iterator[Log]:
    """A recorded session, and streams that begin before it once they are set back."""
    replayed(house, log)
    yield log
    for file in (Path(settings.STATE_DIR) / "streams").glob("*"):
        file.unlink()


def from_the_beginning(house: Runtime, name: str) -> int:
    following.advance(house, name)
    StreamProgress.objects.filter(pk=name).update(position=0)
    return following.advance(house, name)


def again_at_once(name: str) -> None:
    StreamProgress.objects.filter(pk=name).update(next_attempt_at=F("next_attempt_at") - timedelta(hours=1))


def kinds() -> list[str]:
    return list(Entry.objects.filter(place__isnull=False).order_by("place__log_index").values_list("kind", flat=True))


def test_an_entry_as_ocsf_has_what_its_class_asks_for() -> None:
    event = ocsf(ENTRY)
    assert event["metadata"]["version"] == "1.5.0"
    assert (event["class_uid"], event["category_uid"], event["type_uid"]) == (6003, 6, 600399)
    assert event["actor"] == {"user": {"uid": LEAF.actor}}
    assert event["api"] == {"operation": LEAF.tool, "service": {"name": "db"}, "request": {"uid": "c-1"}}
    assert (event["time"], event["severity_id"], event["status_id"]) == (1795914123000, 3, 2)
    assert event["unmapped"]["facts"]["rules"] == ["never"]
    types = {"policy.published": 300403, "grant.made": 300401, "payload.erased": 300404, "process.started": 600203,
             "process.stopped": 600204, "record.read": 600302}  # fmt: skip
    for kind, number in types.items():
        made = ocsf(ENTRY._replace(leaf=LEAF._replace(kind=kind)))
        assert made["type_uid"] == number == made["class_uid"] * 100 + made["activity_id"]
        assert {"entity", "app", "api"} & made.keys()


KINDS = [
    "access.counted", "account.linked", "approval.requested", "approval.voted", "call.intent", "call.message",
    "call.result", "call.unknown", "credential.rotated", "delegation.made", "evidence.exported", "grant.expired",
    "log.led", "log.restored", "payload.erased", "person.sign_in_failed", "person.signed_in", "person.signed_out",
    "policy.published", "process.started", "process.stopped", "record.read", "record.searched", "review.closed",
    "server.down", "session.started", "stream.resumed", "tool.changed",
]  # fmt: skip


def test_every_kind_of_entry_is_an_event_of_the_published_schema() -> None:
    published = OcsfJsonSchemaEmbedded(get_ocsf_schema(OCSF))
    checks: dict[int, Draft202012Validator] = {}
    bare = LEAF._replace(call="", session="", connection="", method="", tool="", actor="")
    for leaf in (one._replace(kind=kind) for kind in KINDS for one in (LEAF, bare)):
        event = ocsf(ENTRY._replace(leaf=leaf))
        number = event["class_uid"]
        if number not in checks:
            schema = published.get_class_schema(published.lookup_class_name_from_uid(number))
            checks[number] = Draft202012Validator(schema)

        assert [found.message for found in checks[number].iter_errors(event)] == [], leaf.kind
    assert set(checks) == {3002, 3004, 6002, 6003}
    assert not checks[6003].is_valid({**ocsf(ENTRY), "color": "red"}), "the schema is none that takes all"


def test_cef_and_syslog_escape_what_they_must() -> None:
    line = cef(ENTRY)
    header, extension = line.split("|suid", 1)[0], line[line.index("rt=") :]
    assert header.startswith("CEF:0|Holdgate|Holdgate|0.1\\|0|call.blocked|call.blocked: a\\|b=c\\\\d e on db|6|")
    assert "cs2=a|b\\=c\\\\d\\ne cs3Label" in extension
    assert "\n" not in line
    frame = syslog(ENTRY._replace(leaf=LEAF._replace(origin='q"]\\')), line, "hö st")
    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    assert message.startswith(b"<108>1 2026-11-29T01:02:03.000004Z hst holdgate w-1 call.blocked [holdgate@32473 ")
    assert b'origin="q\\"\\]\\\\" index="41"' in message


def test_a_file_gets_every_entry_as_a_line_in_order(session: Log, house: Runtime) -> None:
    publish(siem={"file": "ocsf.jsonl"})
    session.sequencer.run_once()
    assert from_the_beginning(house, "siem") == size()
    path = Path(settings.STATE_DIR) / "streams" / "ocsf.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]

    assert [one["metadata"]["event_code"] for one in lines] == kinds()
    assert [one["metadata"]["sequence"] for one in lines] == list(range(len(lines)))
    assert "orders WHERE" not in path.read_text(), "what calls carried stays here"
    assert following.advance(house, "siem") == 0

    path.write_text(path.read_text() + '{"torn')
    StreamProgress.objects.update(position=size() - 1)
    assert following.advance(house, "siem") == 1
    assert [line for line in path.read_text().splitlines() if '"torn' in line] == ['{"torn']


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    return context, authority.ca


def received(at: SyslogReceiver, count: int) -> list[str]:
    return [at.wait()["id"] for _ in range(count)]


def test_syslog_over_tls_gets_everything_also_after_a_connection_broke(
    session: Log, house: Runtime, tls: tuple[ssl.SSLContext, Path]
) -> None:
    context, ca = tls
    with syslog_receiver(context) as at:
        at.broken = [700]
        publish(soc={"format": "cef", "syslog": {"host": "127.0.0.1", "port": str(at.port), "ca": f"file:{ca}"}})
        session.sequencer.run_once()
        assert from_the_beginning(house, "soc") == 0
        row = StreamProgress.objects.get()
        assert (row.position, row.attempts) == (0, 1)
        assert following.advance(house, "soc") == 0, "not before its pause is over"
        again_at_once("soc")
        assert following.advance(house, "soc") == size()

        assert received(at, size()) == kinds()
        assert StreamProgress.objects.get().error == ""


def test_syslog_trusts_nobody_whom_it_should_not(
    session: Log, house: Runtime, tls: tuple[ssl.SSLContext, Path]
) -> None:
    with syslog_receiver(tls[0]) as at:
        publish(soc={"syslog": {"host": "127.0.0.1", "port": str(at.port)}})
        assert from_the_beginning(house, "soc") == 0
        assert StreamProgress.objects.get().error == "its certificate is not trusted, or is of another name"
    with syslog_receiver() as plain:
        publish(soc={"syslog": {"host": "127.0.0.1", "port": str(plain.port), "tls": "false"}})
        again_at_once("soc")
        assert following.advance(house, "soc") > 0
        assert json.loads(plain.wait()["msg"])["metadata"]["sequence"] == 0


def test_a_webhook_is_signed_tried_again_with_the_same_id_and_replayed(
    session: Log, house: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with receiver() as at:
        at.next = [Answering(503), Answering(404)]
        publish(hook={"webhook": {"url": at.url, "secret": "env:HOOK_SECRET"}})
        session.sequencer.run_once()
        assert from_the_beginning(house, "hook") == 0
        again_at_once("hook")
        assert following.advance(house, "hook") == 0
        again_at_once("hook")
        assert following.advance(house, "hook") == size()
        posted = [at.wait() for _ in range(3)]
        assert len({one.headers["webhook-id"] for one in posted}) == 1
        body = Webhook(SECRET).verify(posted[-1].body, posted[-1].headers)
        assert [one["metadata"]["event_code"] for one in body["data"]["events"]] == kinds()
        assert (body["data"]["first"], body["data"]["next"]) == (0, size())

        answer = browser(DAVE).post("/api/v1/streams/hook/replay/", {"from": "3"}, content_type="application/json")
        assert answer.json() == {"from": 3}
        assert following.advance(house, "hook") == size() - 3
        assert at.wait().json["data"]["first"] == 3
    told = bytes(Entry.objects.get(kind="notification.replayed").leaf)
    assert b'"from":3' in told


def test_one_process_at_a_time_sends(session: Log, house: Runtime) -> None:
    publish(siem={"file": "ocsf.jsonl"})
    following.advance(house, "siem")
    now = database_now()
    StreamProgress.objects.update(position=0, leased_until=now + following.LEASE)
    assert following.advance(house, "siem") == 0
    StreamProgress.objects.update(leased_until=now - following.LEASE)
    assert following.advance(house, "siem") > 0


def test_a_new_stream_begins_with_what_comes_and_one_that_is_gone_sends_nothing(session: Log, house: Runtime) -> None:
    publish(siem={"file": "ocsf.jsonl"})
    assert following.advance(house, "siem") == 0
    session.sequencer.run_once()
    assert following.advance(house, "siem") > 0
    publish()
    assert following.advance(house, "siem") == 0


def test_the_page_and_the_metrics_say_how_far_each_is_behind(session: Log, house: Runtime) -> None:
    publish(siem={"file": "ocsf.jsonl"}, dead={"syslog": {"host": "127.0.0.1", "port": "1", "tls": "false"}})
    for name in ("siem", "dead"):
        from_the_beginning(house, name)
    page = " ".join(re.sub(r"<[^>]+>", " ", browser(GRACE).get("/streams/").content.decode()).split())
    assert re.search(r"dead failing cef|dead failing ocsf to syslog 127.0.0.1:1 · \d+ entries", page)
    assert "not reached" in page
    assert "Send again" not in page, "an auditor looks on"
    metrics = browser(DAVE).get("/metrics").content.decode()
    assert re.search(r'holdgate_stream_behind_entries\{stream="dead"\} [1-9]', metrics)
    assert 'holdgate_stream_failed_attempts{stream="dead"} 1.0' in metrics
    told = browser(GRACE).get("/api/v1/streams/").json()["results"]
    assert (told[0]["name"], told[0]["behind"] > 0) == ("dead", True)

    dave = browser(DAVE)
    dave.post("/streams/siem/replay/", {"from": "2"})
    assert StreamProgress.objects.get(pk="siem").position == 2
    dave.post("/streams/siem/replay/", {"from": "2020-01-01"})
    assert StreamProgress.objects.get(pk="siem").position == 0
    for wrong in ("99999", "yesterday", ""):
        dave.post("/streams/siem/replay/", {"from": wrong})
    assert StreamProgress.objects.get(pk="siem").position == 0
    assert browser(GRACE).post("/streams/siem/replay/", {"from": "0"}).status_code == 403
    assert browser(ALICE).get("/streams/").status_code == 403
    assert browser(EVE).get("/api/v1/streams/").status_code == 404


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ({}, "exactly one of file, syslog, webhook"),
        ({"file": "a", "syslog": {"host": "h"}}, "exactly one of file, syslog, webhook"),
        ({"file": "../a"}, "the name of a file"),
        ({"syslog": {"host": "siem.example", "tls": "false"}}, "plain TCP goes to this machine alone"),
        ({"syslog": {"host": "169.254.169.254"}}, "never dialled"),
        ({"syslog": {"host": "h", "port": "70000"}}, "at most 65535"),
        ({"webhook": {"url": "http://127.0.0.1.example/", "secret": "env:A"}}, "must be https"),
        ({"webhook": {"url": "https://a.example/", "secret": "hunter2"}}, "secret"),
        ({"format": "cef", "webhook": {"url": "https://a.example/", "secret": "env:A"}}, "webhooks carry ocsf"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(stream: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(policy_text(channels={"streams": {"siem": stream}}))
