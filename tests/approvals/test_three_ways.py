"""All that the language can say is said in the file, over the API and in the admin alike, and comes out as the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from approvals.config.document import diff, document
from approvals.config.loader import load
from approvals.drafts import apply_text, items_of
from approvals.models import ConfigItem
from approvals.pages.rule_fields import split
from approvals.runtime import Runtime
from tests.held import browser, house
from tests.people import DAVE
from tests.whole_language import FULL

__all__ = ["house"]
DRAFTS, POLICY = "/admin/approvals/configitem/", "/api/v1/policy/"
# What others name comes first.
ORDER = ("groups", "issuers", "people", "roles", "channels", "packs", "detectors", "connections", "rules", "masking")


def by_file(house: Runtime) -> None:
    apply_text(house, FULL, author="tests")


def by_yaml(house: Runtime) -> None:
    answer = browser(DAVE).put(POLICY, FULL, content_type="application/yaml")
    assert answer.status_code == 200, answer.content


def by_json(house: Runtime) -> None:
    answer = browser(DAVE).put(POLICY, document(load(FULL)), content_type="application/json")
    assert answer.status_code == 200, answer.content


def by_admin(house: Runtime) -> None:
    """Write every part into the form of its kind, a rule with its fields, and publish them."""
    dave = browser(DAVE)
    items = items_of(load(FULL))
    assert {kind for kind, _ in items} == set(ORDER)
    for (kind, name), body in sorted(items.items(), key=lambda item: ORDER.index(item[0][0])):
        text = body if kind in {"groups", "connections", "roles", "channels"} else _without_name(body)
        fields, text = split(text) if kind == "rules" else ({}, text)
        form = {"kind": kind, "name": name, "enabled": "on", "text": yaml.safe_dump(text), **fields}
        answer = dave.post(f"{DRAFTS}add/", form)
        assert answer.status_code == 302, (kind, name, answer.content.decode()[-3000:])
    answer = dave.post(f"{DRAFTS}publish/", {"revision": house.policies.current.revision})
    assert answer.status_code == 302, answer.content.decode()[-3000:]


def _without_name(body: Any) -> Any:
    return {key: value for key, value in body.items() if key != "name"}


@pytest.mark.parametrize("way", [by_file, by_yaml, by_json, by_admin])
def test_the_whole_language_is_the_same_by_every_way(way: Callable[[Runtime], None], house: Runtime) -> None:
    way(house)

    config = house.policies.reload().policy.config
    assert [str(change) for change in diff(load(FULL), config)] == []
    assert json.loads(browser(DAVE).get(POLICY).content).keys() == json.loads(document(load(FULL))).keys()
    drafts = {(item.kind, item.name): item.owner for item in ConfigItem.objects.filter(enabled=True)}
    assert drafts.keys() == items_of(load(FULL)).keys()
    assert set(drafts.values()) == {"file" if way is by_file else "admin"}
