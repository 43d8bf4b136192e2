"""The masking pages: a text that is tried and stored nowhere, rules as they govern, what they hid, and who saw what."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from approvals import keys
from approvals.drafts import apply_text
from approvals.masks import counting
from approvals.masks.models import MaskingCount
from approvals.masks.overview import OTHERS, plotted
from approvals.models import ConfigItem
from approvals.runtime import Runtime
from approvals.tasks import count_masking
from sessions.events import Event
from sessions.models import Entry, LogIndex
from tests.held import ISS, browser, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
TRY, PAGE = "/admin/approvals/configitem/mask/", "/admin/approvals/configitem/masking/"
OWN = {"name": "employee", "pattern": r"\bEMP-[0-9]{6}\b", "names": ["employee id"]}
MASKING = [
    {"name": "people", "detectors": ["email"], "except_groups": ["support"]},
    {"name": "ours", "detectors": ["employee"]},
    {"name": "salaries", "connections": [CONNECTION], "fields": ["salary"], "replace": "remove"},
]
TEXT = "mail ada@example.com of EMP-123456"


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(masking=MASKING, detectors=[OWN]), author="tests")
    return browser(DAVE)


def tried(client: Client, text: str = TEXT, **fields: str) -> tuple[int, str]:
    answer = client.post(TRY, {"judged_by": "force", "view": "caller", "text": text, **fields})
    return answer.status_code, " ".join(answer.content.decode().split())


@pytest.mark.parametrize("page", [TRY, PAGE])
@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_look(who: Any, page: str, dave: Client) -> None:
    assert browser(who).get(page, follow=True).status_code == 403


def test_a_text_is_tried_and_stored_nowhere(dave: Client) -> None:
    before = Entry.objects.count()
    status, page = tried(dave)

    assert status == 200
    assert "mail [email] of [employee]" in page
    assert "<mark>EMP-123456</mark>" in page, "what the detector finds by itself"
    assert Entry.objects.count() == before
    assert not ConfigItem.objects.filter(name="tried-here").exists()


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"groups": "support"}, "mail ada@example.com of [employee]"),
        ({"groups": "support", "view": "record"}, "mail [email] of [employee]"),
        ({"groups": "support", "view": "message"}, "mail [email] of [employee]"),
    ],
)
def test_it_is_tried_as_somebody_sees_it(fields: dict[str, str], shown: str, dave: Client) -> None:
    assert shown in tried(dave, **fields)[1]


def test_json_is_tried_as_an_answer_of_a_connection(dave: Client) -> None:
    text = '{"salary": 4711, "n": 1.50}'
    assert "Nothing is hidden" in tried(dave, text)[1]
    page = tried(dave, text, connection=CONNECTION)[1]
    assert "{&quot;n&quot;:1.50}" in page
    assert "4711" in page, "the text itself stays in the form"


def test_a_detector_is_tried_before_it_is_written_down(dave: Client) -> None:
    status, page = tried(dave, "kto 36574261809, kto 36574261890", pattern="[0-9]{11}", checksum="mod11-10")

    assert status == 200
    assert "kto [tried-here], kto 36574261890" in page
    assert "<mark>36574261809</mark>" in page


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"pattern": "(?&lt;=a)b".replace("&lt;", "<")},
            "The detector is not a pattern that RE2 accepts: invalid perl operator",
        ),
        ({"pattern": "a*"}, "The detector matches the empty text"),
        ({"checksum": "luhn"}, "A detector needs a pattern."),
        ({"pattern": "a", "names": "--"}, "The detector needs a letter or a digit."),
    ],
)
def test_a_detector_that_cannot_be_used_is_refused_with_the_reason(
    fields: dict[str, str], problem: str, dave: Client
) -> None:
    status, page = tried(dave, **fields)
    assert status == 400
    assert problem in page


def test_what_cannot_be_masked_is_said(dave: Client) -> None:
    status, page = tried(dave, '{"a":' * 250 + '"ada@example.com"' + "}" * 250)
    assert status in {200, 400}
    assert "ada@example.com" not in page.split("<textarea")[0]


def test_a_detector_of_the_admin_is_drafted_checked_and_published(dave: Client, house: Runtime) -> None:
    add = "/admin/approvals/configitem/add/"
    wrong = dave.post(add, {"kind": "detectors", "name": "badge", "enabled": "on", "text": "pattern: 'b*'"})
    assert "detectors.badge.pattern: matches the empty text" in wrong.content.decode()
    dave.post(add, {"kind": "detectors", "name": "badge", "enabled": "on", "text": "pattern: 'B-[0-9]{4}'"})
    dave.post(add, {"kind": "masking", "name": "badges", "enabled": "on", "text": "detectors: [badge]"})
    outlet = house.policies.current.outlet("")
    assert outlet.text("B-1234") == "B-1234", "a draft governs nothing"
    assert "of [badge]" in tried(dave, "of B-1234", judged_by="drafts")[1]

    dave.post("/admin/approvals/configitem/publish/", {"revision": house.policies.current.revision})

    assert house.policies.current.outlet("").text("B-1234") == "[badge]"


def test_the_same_over_the_api(dave: Client) -> None:
    answer = dave.post("/api/v1/masking/try/", {"text": TEXT, "groups": ["support"]}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "masked": "mail ada@example.com of [employee]", "hits": {"employee": 1}, "found": {"employee": ["EMP-123456"]},
    }  # fmt: skip
    new = {"text": "x1", "detector": {"pattern": "x[0-9]"}}
    assert dave.post("/api/v1/masking/try/", new, content_type="application/json").json()["masked"] == "[tried-here]"
    wrong = dave.post(
        "/api/v1/masking/try/", {"text": "x", "detector": {"pattern": "x*"}}, content_type="application/json"
    )
    assert wrong.status_code == 400
    assert wrong.json()["messages"] == [
        "detector.pattern: matches the empty text, and so would match everywhere; say + where it says *"
    ]
    refused = browser(ALICE).post("/api/v1/masking/try/", {"text": "x"}, content_type="application/json")
    assert refused.status_code == 403


def masked(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("mask", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_masks_a_file_and_counts_on_stderr(dave: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT + "\n", encoding="utf-8")
    before = Entry.objects.count()
    assert masked(str(file)) == ("mail [email] of [employee]\n", "email: 1\nemployee: 1\n")
    assert masked(str(file), "--group", "support")[0] == "mail ada@example.com of [employee]\n"
    assert masked(str(file), "--group", "support", "--view", "message")[0] == "mail [email] of [employee]\n"
    file.write_text('{"salary": 1, "x": [2]}', encoding="utf-8")
    assert masked(str(file), "--connection", CONNECTION) == ('{"x":[2]}', "salary: 1\n")
    assert masked(str(file)) == ('{"salary": 1, "x": [2]}', "nothing is hidden\n")
    assert Entry.objects.count() == before


def test_the_command_tries_a_file_of_rules_and_reads_stdin(
    dave: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("version: 1\nmasking: [{name: m, detectors: [us_ssn], replace: partial}]\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ssn 123-45-6789 ada@example.com")))
    assert masked("-", "--config", str(rules))[0] == "ssn ****6789 ada@example.com"


@pytest.mark.parametrize(
    ("content", "arguments", "code", "said"),
    [
        (b"x", ("--connection", "nowhere"), 2, "there is no connection nowhere"),
        (b"\xff", (), 3, "is not UTF-8"),
        (b'["' + b"[" * 0 + b'"]', ("--config", "missing.yaml"), 2, "configuration cannot be read"),
        (b'{"a":' * 250 + b'"ada@example.com"' + b"}" * 250, (), 3, "cannot be masked"),
    ],
)
def test_the_command_says_why_it_cannot(
    content: bytes, arguments: tuple[str, ...], code: int, said: str, dave: Client, tmp_path: Path
) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=said) as caught:
        masked(str(file), *arguments)
    assert caught.value.returncode == code


def test_check_says_by_its_exit_code_that_something_is_hidden(dave: Client, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("ada@example.com", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        masked(str(file), "--check")
    assert caught.value.code == 1
    file.write_text("nothing", encoding="utf-8")
    masked(str(file), "--check")
    with pytest.raises(CommandError) as missing:
        masked(str(tmp_path / "missing"))
    assert missing.value.returncode == 2


def recorded(house: Runtime, actor: str = "", kind: str = "call.result", **facts: list[str]) -> None:
    """Record an answer, and give every entry its place as the sequencer would."""
    house.journal.append_now(Event(kind=kind, call_id="c", connection=CONNECTION, actor=actor, facts=facts))
    placed = LogIndex.objects.count()
    for index, entry in enumerate(Entry.objects.filter(place=None).order_by("id"), placed):
        LogIndex.objects.create(log_index=index, entry=entry)


def test_what_was_hidden_and_seen_is_counted_once_from_the_record(dave: Client, house: Runtime) -> None:
    henry = keys.actor(f"{ISS}|{DAVE.sub}")
    recorded(house, henry, masked=["email:3", "salary:1"], exposed=["email:2"])
    assert counting.count_up() == 0
    recorded(house, keys.actor("https://ci|job"), "call.message", masked=["email:3"], exposed=["phone:1"])
    recorded(house, kind="call.intent", masked=["email:1"])
    recorded(house, kind="call.refused", masked=[])
    assert counting.behind() == 3
    assert counting.count_up(steps=1, step=1) == 2
    assert count_masking() == 0
    assert counting.behind() == 0

    page = " ".join(dave.get(PAGE).content.decode().split())

    assert "8 values in 30 days (UTC)" in page
    assert '<li class="kind-0">email: 7</li>' in page
    assert '<rect class="kind-0"' in page
    assert '<th scope="col">email</th>' in page, "the same as a table"
    assert f"{DAVE.name} </th>" in page
    assert f"caller <code>{keys.actor('https://ci|job')[:12]}</code>" in page
    counts = list(MaskingCount.objects.order_by("actor", "name").values_list("name", "count"))
    counting.recount()
    counting.count_up()
    assert list(MaskingCount.objects.order_by("actor", "name").values_list("name", "count")) == counts


def test_the_page_shows_what_governs_and_no_value(dave: Client) -> None:
    page = " ".join(dave.get(PAGE).content.decode().split())
    assert "Nothing was hidden in 30 days." in page
    assert "Nobody saw anything that a rule hides from others." in page
    for shown in ("people", "support", "salaries", "fields salary", "remove", r"\bEMP-[0-9]{6}\b", "employee id"):
        assert shown in page
    assert "the configuration file" in page


def test_many_kinds_are_told_apart_and_the_rest_is_one() -> None:
    first = date(2026, 11, 1)
    by_day = {first + timedelta(days=1): Counter({f"kind{n}": 20 - n for n in range(9)})}
    drawn = plotted(by_day, first, 3)
    assert [name for name, _, _ in drawn.kinds] == [*(f"kind{n}" for n in range(6)), OTHERS]
    assert drawn.days[1][1][-1] == 14 + 13 + 12
    assert drawn.total == sum(20 - n for n in range(9))
    assert plotted({}, first, 2).total == 0
    assert json.dumps(drawn.plot.top)
