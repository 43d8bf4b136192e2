"""A release only expands the database, so that the one before it goes on serving (docs/operate/upgrade.md)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import models
from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

OURS = ("approvals", "proxy", "mcp_sessions")
# Up to here nobody has a release that would have to go on.
BEFORE_THE_RULE = {"approvals": 28, "proxy": 6, "mcp_sessions": 7}
# What no release before needs any more. Each says since which version: {("app", "0042_name"): "1.3: nothing reads it"}
CONTRACTED: dict[tuple[str, str], str] = {}
EXPANDING = (
    ops.CreateModel, ops.AddIndex, ops.RemoveIndex, ops.RenameIndex, ops.RunPython, ops.AlterModelOptions,
    ops.AlterModelManagers, ops.AlterModelTableComment,
)  # fmt: skip


def breaks(operation: Any, before: models.Field[Any, Any] | None = None) -> str:
    """Say how the release before would fail on a database after this operation; empty when it goes on.

    `before` is the field that an AlterField changes.
    """
    match operation:
        case ops.SeparateDatabaseAndState():
            return next(filter(None, map(breaks, operation.database_operations)), "")
        case ops.AddField(field=field):
            kept = field.null or field.db_default is not NOT_PROVIDED or field.many_to_many
            return "" if kept else "it inserts rows without this column: null=True or db_default"
        case ops.AlterField(field=field):
            return "" if before is not None and _takes_all(before, field) else "it may write what is not taken any more"
        case ops.RunSQL():
            return "" if not re.search(r"\b(DROP|RENAME|SET NOT NULL)\b", str(operation.sql)) else "it takes away"
        case _:
            return "" if isinstance(operation, EXPANDING) else "it needs what is taken away or renamed"


def _takes_all(old: models.Field[Any, Any], new: models.Field[Any, Any]) -> bool:
    """Say whether a changed column takes whatever was written into it before, and needs no more."""
    same = type(old) is type(new) or (isinstance(old, models.CharField) and isinstance(new, models.TextField))
    longer = not new.max_length or (old.max_length or new.max_length + 1) <= new.max_length
    has_default = old.db_default is NOT_PROVIDED or new.db_default is not NOT_PROVIDED or new.null
    return same and longer and has_default and (new.null or not old.null) and (old.unique or not new.unique)


def _after_the_rule() -> list[tuple[str, str]]:
    found = MigrationLoader(None).disk_migrations
    return sorted(key for key in found if key[0] in OURS and int(key[1][:4]) > BEFORE_THE_RULE[key[0]])


def test_a_migration_leaves_the_release_before_able_to_go_on() -> None:
    assert {key: found for key in _after_the_rule() if key not in CONTRACTED and (found := _breaking(key))} == {}


def _breaking(key: tuple[str, str]) -> dict[str, str]:
    """Return the operations of a migration with which the release before fails, and how."""
    loader = MigrationLoader(None)
    fields = {name: model.fields for name, model in loader.project_state(key, at_end=False).models.items()}
    found = {}
    for one in loader.disk_migrations[key].operations:
        altered: Any = one if isinstance(one, ops.AlterField) else None
        before = fields[key[0], altered.model_name_lower].get(altered.name) if altered else None
        if why := breaks(one, before):
            found[one.describe()] = why
    return found


def test_the_migrations_before_the_rule_are_read_as_well() -> None:
    assert _breaking(("proxy", "0006_tool_of_own_tasks")), "it has a default of Django's alone"
    assert not _breaking(("approvals", "0004_outbox"))


@pytest.mark.parametrize(
    ("operation", "fails"),
    [
        (ops.AddField("x", "y", models.TextField(default="")), True),
        (ops.AddField("x", "y", models.TextField(null=True)), False),
        (ops.AddField("x", "y", models.TextField(db_default="")), False),
        (ops.RemoveField("x", "y"), True),
        (ops.RenameField("x", "y", "z"), True),
        (ops.DeleteModel("x"), True),
        (ops.AlterField("x", "y", models.TextField()), True),
        (ops.RunSQL("ALTER TABLE x DROP COLUMN y"), True),
        (ops.AddConstraint("x", models.CheckConstraint(condition=models.Q(y=1), name="c")), True),
        (ops.AddIndex("x", models.Index(fields=["y"], name="i")), False),
        (ops.SeparateDatabaseAndState(state_operations=[ops.RemoveField("x", "y")]), False),
    ],
    ids=[
        "default",
        "null",
        "db_default",
        "remove",
        "rename",
        "delete",
        "alter",
        "sql",
        "constraint",
        "index",
        "state",
    ],
)
def test_the_rule_sees_what_breaks(operation: Any, fails: bool) -> None:
    assert bool(breaks(operation)) is fails


@pytest.mark.parametrize(
    ("old", "new", "takes"),
    [
        (models.CharField(max_length=10), models.CharField(max_length=20), True),
        (models.CharField(max_length=10), models.TextField(), True),
        (models.CharField(max_length=20), models.CharField(max_length=10), False),
        (models.TextField(), models.CharField(max_length=10), False),
        (models.TextField(null=True), models.TextField(), False),
        (models.TextField(), models.TextField(null=True), True),
        (models.TextField(db_default=""), models.TextField(), False),
        (models.IntegerField(), models.IntegerField(unique=True), False),
    ],
    ids=["longer", "any length", "shorter", "capped", "not null", "null", "no default", "unique"],
)
def test_a_column_may_only_become_wider(old: Any, new: Any, takes: bool) -> None:
    assert bool(breaks(ops.AlterField("x", "y", new), old)) is not takes


def test_every_contraction_names_a_migration_that_is_there() -> None:
    assert set(CONTRACTED) <= set(MigrationLoader(None).disk_migrations)
