"""Drafts and the file: what a holdgate.yaml owns, what was made in the admin, and what applying changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.config.document import document, dump
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from approvals.drafts import apply_if_new, apply_text, config_from_drafts, preview, replace_drafts, with_draft
from approvals.models import ConfigItem, PolicyRevision
from approvals.publication import publish
from approvals.runtime import Runtime
from sessions.journal import RecordUnavailable
from tests.engine import RULES, engine, holds, one_of, refusing
from tests.held import policy_text

__all__ = ["engine"]

ADMIN = ConfigItem.Owner.ADMIN
EXTRA = holds("extra", one_of("security"))


def text(*rules: dict[str, Any], **blocks: Any) -> str:
    """Return a holdgate.yaml of the cast with these rules, or with the usual ones."""
    return policy_text(**{"rules": json.loads(json.dumps(rules or RULES)), **blocks})


@pytest.fixture
def applied(engine: Runtime) -> Runtime:
    """The policy in force comes from a file."""
    apply_text(engine, text(), author="tests")
    return engine


def make_in_admin(body: dict[str, Any] = EXTRA, *, enabled: bool = True) -> ConfigItem:
    return ConfigItem.objects.create(kind="rules", name=body["name"], body=body, owner=ADMIN, enabled=enabled)


def in_force(house: Runtime) -> Config:
    return house.policies.reload().policy.config


def same(*configs: Config) -> bool:
    """Say whether these are one policy; the order of rules means nothing."""
    return len({document(config) for config in configs}) == 1


def rules_of(config: Config) -> set[str]:
    return {rule.name for rule in config.rules}


def everything() -> Any:
    """Return all drafts and revisions, to see that nothing changed."""
    drafts = list(ConfigItem.objects.order_by("pk").values_list("kind", "name", "body", "owner", "enabled"))
    return drafts, list(PolicyRevision.objects.values_list("number", "digest", "source_digest"))


# --- applying ---


def test_a_file_is_made_true_and_owns_what_it_names(applied: Runtime) -> None:
    assert same(in_force(applied), config_from_drafts(), load(text()))
    assert set(ConfigItem.objects.values_list("owner", "enabled")) == {("file", True)}


def test_what_left_the_file_is_disabled_and_never_deleted(applied: Runtime) -> None:
    published = apply_text(applied, text(*RULES[1:]), author="tests")
    assert [str(change) for change in published.changes] == ["rule one removed"]
    assert "one" not in rules_of(in_force(applied))
    assert not ConfigItem.objects.get(kind="rules", name="one").enabled
    apply_text(applied, text(), author="tests")
    assert ConfigItem.objects.get(kind="rules", name="one").enabled
    assert same(in_force(applied), load(text()))


def test_what_was_made_in_the_admin_survives_a_file_that_does_not_name_it(applied: Runtime) -> None:
    make_in_admin()
    apply_text(applied, text(), author="tests")
    assert "extra" in rules_of(in_force(applied))
    apply_text(applied, text(*RULES[1:]), author="tests")
    assert "extra" in rules_of(in_force(applied))
    assert ConfigItem.objects.get(name="extra").owner == ADMIN


def test_pruning_disables_what_was_made_in_the_admin(applied: Runtime) -> None:
    make_in_admin()
    apply_text(applied, text(), author="tests")
    published = apply_text(applied, text(), author="tests", prune=True)
    assert [str(change) for change in published.changes] == ["rule extra removed"]
    draft = ConfigItem.objects.get(name="extra")
    assert (draft.owner, draft.enabled) == (ADMIN, False)


def test_a_disabled_draft_governs_nothing(applied: Runtime) -> None:
    make_in_admin(enabled=False)
    apply_text(applied, text(), author="tests")
    assert "extra" not in rules_of(in_force(applied))


def test_what_the_file_names_becomes_the_files_whoever_made_it(applied: Runtime) -> None:
    make_in_admin()
    apply_text(applied, text(*RULES, {**EXTRA, "message": "From the file."}), author="tests")
    draft = ConfigItem.objects.get(name="extra")
    assert (draft.owner, draft.body["message"]) == ("file", "From the file.")


def test_applying_what_was_exported_changes_nothing(applied: Runtime) -> None:
    make_in_admin()
    apply_text(applied, text(), author="tests")
    before = in_force(applied)
    published = apply_text(applied, dump(before), author="tests")
    assert published.changes == ()
    assert same(in_force(applied), before)
    assert apply_text(applied, dump(in_force(applied)), author="tests").revision == published.revision


@pytest.mark.parametrize(
    ("broken", "key", "reason"),
    [
        (holds("bad", one_of("nobody")), "rules.bad.approval.require", "nobody"),
        ({"name": "bad", "action": "hold", "match": {"tools": ["x"]}}, "rules.bad.approval", "required"),
        ({"name": "bad", "action": "deny"}, "rules.bad.match", "required"),
        ({"name": "bad", "action": "deny", "match": {"tools": ["x"]}, "colour": "red"}, "rules.bad.colour", "unknown"),
        ({"name": "one", "action": "deny", "match": {"tools": ["x"]}}, "rules.one.name", "twice"),
    ],
    ids=["group", "approval", "match", "key", "name"],
)
def test_a_file_with_a_problem_changes_nothing_and_says_where_and_what(
    broken: dict[str, Any], key: str, reason: str, applied: Runtime
) -> None:
    make_in_admin()
    before = everything()
    wrong = text(*RULES, broken)
    for attempt in (lambda: apply_text(applied, wrong, author="tests"), lambda: preview(wrong)):
        with pytest.raises(ConfigError) as refused:
            attempt()
        problem = next(found for found in refused.value.problems if found.key.startswith(key))
        assert reason in problem.reason
        assert wrong.splitlines()[problem.line - 1].strip(), "the line is one of the file"
    assert everything() == before


def test_a_file_that_does_not_fit_what_the_admin_made_changes_nothing(applied: Runtime) -> None:
    make_in_admin()
    before = everything()
    without_security = {name: {"members": ["alice@example.com"]} for name in ("dba", "platform")}
    only_dba = [holds("one", one_of("dba"))]
    wrong = text(*only_dba, groups=without_security, masking=[])
    with pytest.raises(ConfigError, match="security"):
        apply_text(applied, wrong, author="tests")
    assert everything() == before
    apply_text(applied, wrong, author="tests", prune=True)
    assert rules_of(in_force(applied)) == {"one"}


@pytest.mark.promise("fail-closed")
def test_a_file_that_cannot_be_recorded_changes_not_even_the_drafts(applied: Runtime) -> None:
    before = everything()
    with refusing("mcp_sessions_entry", "INSERT"), pytest.raises(RecordUnavailable):
        apply_text(applied, text(*RULES[1:]), author="tests")
    assert everything() == before


# --- at start ---


def test_a_file_is_applied_at_start_only_when_it_is_new(engine: Runtime) -> None:
    first = apply_if_new(engine, text(), author="start")
    assert first is not None
    assert apply_if_new(engine, text(), author="start") is None
    later = apply_if_new(engine, text(*RULES[1:]), author="start")
    assert later is not None
    assert later.revision > first.revision


def test_what_was_changed_since_the_file_was_applied_stands_at_the_next_start(applied: Runtime) -> None:
    publish(applied.journal, applied.policies, load(text(*RULES, EXTRA)), author="https://id|dave")
    assert apply_if_new(applied, text(), author="start") is None
    assert "extra" in rules_of(in_force(applied))


def test_a_file_that_was_applied_before_and_is_back_again_is_new(applied: Runtime) -> None:
    apply_if_new(applied, text(*RULES[1:]), author="start")
    assert apply_if_new(applied, text(), author="start") is not None
    assert "one" in rules_of(in_force(applied))


# --- looking first, and the other doors ---


@pytest.mark.parametrize("prune", [False, True])
def test_a_preview_is_what_applying_makes_and_changes_nothing(prune: bool, applied: Runtime) -> None:
    make_in_admin()
    wanted = text(*RULES[2:], holds("new", one_of("dba")))
    before = everything()
    seen = preview(wanted, prune=prune)
    assert everything() == before
    apply_text(applied, wanted, author="tests", prune=prune)
    assert same(in_force(applied), seen)
    assert ("extra" in rules_of(seen)) is not prune


def test_a_draft_can_be_tried_without_being_stored(applied: Runtime) -> None:
    before = everything()
    assert "extra" in rules_of(with_draft("rules", "extra", EXTRA))
    assert "one" not in rules_of(with_draft("rules", "one", None, enabled=False))
    with pytest.raises(ConfigError, match="nobody"):
        with_draft("rules", "extra", holds("extra", one_of("nobody")))
    assert everything() == before


def test_a_whole_configuration_replaces_the_drafts_and_keeps_who_owns_them(applied: Runtime) -> None:
    wanted = load(text(*RULES[1:], EXTRA))

    def prepare() -> Config:
        replace_drafts(wanted)
        return config_from_drafts()

    publish(applied.journal, applied.policies, prepare, author="https://id|dave")
    assert same(in_force(applied), config_from_drafts(), wanted)
    assert not ConfigItem.objects.get(kind="rules", name="one").enabled
    assert ConfigItem.objects.get(kind="rules", name="two").owner == "file"
    assert ConfigItem.objects.get(kind="rules", name="extra").owner == ADMIN
