"""The form of a rule: its fields and the rest make the entry, nothing is lost, problems stand at their field."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from approvals.drafts import apply_text
from approvals.models import ConfigItem
from approvals.pages.rule_fields import joined, split
from approvals.runtime import Runtime
from tests.held import browser, house, policy_text
from tests.people import DAVE

__all__ = ["house"]
DRAFTS = "/admin/approvals/configitem/"
HELD: dict[str, Any] = {
    "action": "hold",
    "match": {"tools": ["query", "drop*"], "callers": {"groups": ["dba"], "kinds": ["ci"]}},
    "message": "Two\nlines.",
    "approval": {"require": {"any_of": [{"groups": ["dba", "security"], "count": "2"}]}, "expires_after": "5m"},
}


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(), author="tests")
    return browser(DAVE)


@pytest.mark.parametrize(
    "body",
    [
        HELD,
        {"action": "deny", "match": {"tools": "query"}},
        {"action": "deny", "match": {"tools": [" padded"], "labels": {"a": ["b"]}}, "message": "ends with a space "},
        {"action": "hold", "match": {"tools": ["a"]}, "approval": {"require": {"all_of": [{"groups": ["dba"]}]}}},
        {"action": "hold", "approval": {"require": {"any_of": [{"groups": ["a"]}, {"groups": ["b"]}]}}},
        {"action": "deny", "match": {"callers": {"groups": []}}, "notify": ["slack:#x"], "overrides": "secrets"},
        {"action": "hold", "notify": [{"slack": "#dba"}, {"email": "dba@example.com"}]},
        {"action": "hold", "notify": [{"slack": " #dba"}]},
        {"action": "hold", "notify": [{"slack": "#a", "email": "b"}]},
        {"action": "hold", "notify": [{"slack": 7}]},
        {"action": 7, "match": "x", "approval": [], "message": None},
        {},
    ],
)
def test_fields_and_rest_make_what_they_came_from(body: dict[str, Any]) -> None:
    fields, rest = split(body)

    assert joined(fields, rest) == (body, [])


def test_what_the_fields_take_is_not_in_the_rest() -> None:
    fields, rest = split(HELD)

    assert rest == {}
    assert fields == {
        "action": "hold",
        "message": "Two\nlines.",
        "tools": "query\ndrop*",
        "groups": "dba",
        "kinds": "ci",
        "expires_after": "5m",
        "approvers": "dba\nsecurity",
        "count": "2",
    }


def test_routes_are_lines_of_channel_and_target() -> None:
    notify = [{"slack": "#dba"}, {"push": "approvers"}]

    assert split({"notify": notify}) == ({"notify": "slack: #dba\npush: approvers"}, {})
    assert joined({"notify": "slack:#dba\n\n push:approvers"}, {}) == ({"notify": notify}, [])
    assert joined({"notify": "push: approvers"}, {"notify": []})[1][0][0] == "notify"


def test_what_stands_twice_is_refused_whatever_it_says() -> None:
    fields, _ = split(HELD)
    rest = {"action": "deny", "match": {"callers": "me"}, "approval": {"require": {}}}

    assert {name for name, _ in joined(fields, rest)[1]} == {"action", "groups", "kinds", "approvers"}


def sent(page: str) -> dict[str, str]:
    """Return what a browser sends of the form as it stands."""
    found = {"enabled": "on"}
    for name, text in re.findall(r'<textarea name="(\w+)"[^>]*>\n?(.*?)</textarea>', page, re.S):
        found[name] = html.unescape(text).replace("\n", "\r\n")
    for name in ("count", "expires_after"):
        value = re.search(rf'<input type="text" name="{name}"(?: value="([^"]*)")?', page)
        found[name] = html.unescape(value[1] or "") if value else ""
    for name, options in re.findall(r'<select name="(\w+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def test_opening_and_saving_a_rule_changes_nothing(dave: Client, house: Runtime) -> None:
    ConfigItem.objects.filter(kind="rules").update(owner="admin")
    extra = {"name": "mine", **HELD, "unless": [{"connections": ["x"]}], "notify": []}
    ConfigItem.objects.create(kind="rules", name="mine", body=extra)
    for item in ConfigItem.objects.filter(kind="rules"):
        address = f"{DRAFTS}{item.pk}/change/"

        answer = dave.post(address, sent(dave.get(address).content.decode()))

        assert answer.status_code == 302, answer.content.decode()
        changed = ConfigItem.objects.get(pk=item.pk)
        assert split(changed.body) == split(item.body)


def test_a_rule_is_made_with_fields_alone(dave: Client) -> None:
    page = dave.get(f"{DRAFTS}add/?kind=rules").content.decode()
    form = sent(page) | {
        "kind": "rules", "name": "mine", "action": "hold", "tools": "drop*\r\n  truncate*\r\n", "approvers": "dba",
    }  # fmt: skip

    assert "Who decides" in page
    assert dave.post(f"{DRAFTS}add/", form).status_code == 302
    assert ConfigItem.objects.get(name="mine").body == {
        "name": "mine",
        "action": "hold",
        "match": {"tools": ["drop*", "truncate*"]},
        "approval": {"require": {"any_of": [{"groups": ["dba"]}]}},
    }


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"action": ""}, "action", "rules.mine.action: is required"),
        ({"approvers": "nobody"}, "approvers", "unknown group `nobody`"),
        ({"count": "x"}, "count", "must be a whole number"),
        ({"expires_after": "soon"}, "expires_after", "must be a duration"),
        ({"notify": "nowhere"}, "notify", "rules.mine.notify[0]"),
        ({"kinds": "robot"}, "kinds", "rules.mine.match.callers.kinds[0]"),
        ({"text": "match: {weather: fine}"}, "text", "rules.mine.match.weather: unknown key"),
        ({"text": "action: deny"}, "action", "stands in the text below as well"),
    ],
)
def test_a_problem_is_told_at_its_field(fields: dict[str, str], field: str, said: str, dave: Client) -> None:
    form = {
        "kind": "rules",
        "name": "mine",
        "action": "hold",
        "tools": "x",
        "approvers": "dba",
        "enabled": "on",
        **fields,
    }

    page = dave.post(f"{DRAFTS}add/", form).content.decode()

    block = page.split(f"form-row errors field-{field}")[1].split("form-row")[0]
    assert said in html.unescape(block)
    assert not ConfigItem.objects.filter(name="mine").exists()


def test_a_rule_of_the_file_has_no_form(dave: Client) -> None:
    item = ConfigItem.objects.get(name="writes-need-a-dba")

    assert "<textarea" not in dave.get(f"{DRAFTS}{item.pk}/change/").content.decode()


def test_what_is_no_rule_keeps_its_own_form(dave: Client) -> None:
    page = dave.get(f"{DRAFTS}add/?kind=groups").content.decode()

    assert "Who decides" not in page
