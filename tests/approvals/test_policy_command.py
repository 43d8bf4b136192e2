"""`manage.py policy`: what it prints, its exit codes, and that it never shows a traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from approvals.models import ConfigItem, PolicyRevision
from approvals.runtime import Runtime
from tests.engine import RULES, engine, holds, one_of
from tests.gateway import Gateway, installation
from tests.held import ISS, policy_text, signed_in
from tests.people import CONNECTION, DAVE

__all__ = ["engine"]

SQL = '{"sql": "drop table customers"}'
DENY = {
    "name": "never-drop",
    "action": "deny",
    "match": {"arguments": [{"path": "sql", "matches": "(?i)drop"}]},
}


def policy(*words: str) -> tuple[int, list[str]]:
    """Run the command and return its exit code, and the lines that it printed or complained with."""
    out = io.StringIO()
    try:
        call_command("policy", *words, stdout=out, stderr=out)
    except SystemExit as left:
        return int(left.code or 0), out.getvalue().splitlines()
    except CommandError as error:
        return error.returncode, [*out.getvalue().splitlines(), *str(error).splitlines()]
    return 0, out.getvalue().splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration in force, as a file."""
    path = tmp_path / "holdgate.yaml"
    path.write_text(policy_text(rules=RULES), encoding="utf-8")
    return path


def rewrite(file: Path, *rules: dict[str, Any]) -> str:
    """Put other rules into the file and return its name."""
    file.write_text(policy_text(rules=list(rules)), encoding="utf-8")
    return str(file)


# --- diff ---


def test_diff_of_what_is_in_force_says_equal_and_exits_0(file: Path, engine: Runtime) -> None:
    assert policy("diff", str(file)) == (0, ["equal"])


def test_diff_names_every_difference_and_exits_1(file: Path, engine: Runtime) -> None:
    other = [holds("one", one_of("dba", 2)), *RULES[2:], DENY]
    code, lines = policy("diff", rewrite(file, *other))
    looser = ["looser: rules.two: is removed"]
    assert (code, sorted(lines)) == (1, [*looser, "rule never-drop added", "rule one changed", "rule two removed"])
    assert PolicyRevision.objects.count() == 1


def test_diff_lists_what_was_made_in_the_admin(file: Path, engine: Runtime) -> None:
    policy("apply", str(file))
    ConfigItem.objects.create(kind="rules", name="never-drop", body=DENY)
    policy("apply", str(file))
    assert policy("diff", str(file)) == (0, ["rules never-drop was made in the admin and stays", "equal"])
    assert policy("diff", str(file), "--prune") == (
        1,
        ["rule never-drop removed", "looser: rules.never-drop: is removed"],
    )


# --- export and apply ---


def test_applying_an_export_changes_nothing(tmp_path: Path, engine: Runtime) -> None:
    code, lines = policy("export")
    assert code == 0
    export = tmp_path / "export.yaml"
    export.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert policy("diff", str(export)) == (0, ["equal"])
    code, said = policy("apply", str(export))
    assert code == 0
    assert said[-1].endswith("(nothing changed)")
    assert policy("export") == (0, lines)


def test_apply_says_what_changed_and_which_revision_it_made(file: Path, engine: Runtime) -> None:
    code, lines = policy("apply", rewrite(file, *RULES, DENY))
    assert (code, lines) == (0, ["rule never-drop added", "revision 2"])
    assert policy("diff", str(file)) == (0, ["equal"])
    assert PolicyRevision.objects.get(number=2).author == "policy apply"


@pytest.mark.parametrize("action", ["apply", "diff"])
def test_a_file_with_problems_is_exit_2_and_names_line_key_and_reason_of_each(
    action: str, file: Path, engine: Runtime
) -> None:
    wrong = [holds("one", one_of("nobody")), {**DENY, "colour": "red"}]
    code, lines = policy(action, rewrite(file, *wrong))
    assert code == 2
    assert [line.split(": ")[1] for line in lines] == [
        "rules.one.approval.require.any_of[0].groups[0]",
        "rules.never-drop.colour",
    ]
    assert all(line.startswith("line ") for line in lines)
    assert "nobody" in lines[0]
    assert "unknown key" in lines[1]
    assert PolicyRevision.objects.count() == 1


@pytest.mark.parametrize("action", ["apply", "diff"])
def test_a_file_that_cannot_be_read_is_exit_2_in_one_line(action: str, tmp_path: Path, engine: Runtime) -> None:
    (tmp_path / "latin").write_bytes(b"version: 1 # \xff")
    for name in ("missing.yaml", "latin", "."):
        code, lines = policy(action, str(tmp_path / name))
        assert (code, len(lines)) == (2, 1), lines


# --- test ---


def test_the_verdict_and_the_rules_that_spoke_are_printed(file: Path, engine: Runtime) -> None:
    policy("apply", rewrite(file, *RULES, DENY))
    who = ("--as", f"{ISS}|henry", "--group", "corp/engineering")
    assert policy("test", CONNECTION, "other", *who) == (0, ["allow"])
    assert policy("test", CONNECTION, "one", *who) == (0, ["hold", "rule one", "groups dba"])
    denied = policy("test", CONNECTION, "one", *who, "--args", SQL)
    assert denied == (0, ["deny", "rule never-drop", "rule one"])


def test_a_known_person_is_tried_with_the_groups_of_their_sign_in(engine: Runtime) -> None:
    signed_in(DAVE)
    for name in (DAVE.email, DAVE.name, f"{ISS}|{DAVE.sub}"):
        assert policy("test", CONNECTION, "one", "--as", name) == (0, ["hold", "rule one", "groups dba"]), name


def test_nobody_in_particular_may_nothing(engine: Runtime) -> None:
    assert policy("test", CONNECTION, "one") == (0, ["deny"])
    assert policy("test", "no-such-connection", "one", "--group", "corp/engineering") == (0, ["deny"])


def test_a_rule_that_only_observes_says_what_it_would(file: Path, engine: Runtime) -> None:
    policy("apply", rewrite(file, {**DENY, "mode": "observe"}))
    who = ("--group", "corp/engineering", "--args", SQL)
    assert policy("test", CONNECTION, "query", *who) == (0, ["allow", "would deny (never-drop)"])


def test_a_file_can_be_tried_before_it_is_applied(file: Path, engine: Runtime) -> None:
    wanted = rewrite(file, DENY)
    who = ("--group", "corp/engineering", "--args", SQL)
    assert policy("test", CONNECTION, "query", *who, "--config", wanted) == (0, ["deny", "rule never-drop"])
    assert policy("test", CONNECTION, "query", *who) == (0, ["allow"])


@pytest.mark.parametrize("arguments", ["{", "drop table", '{"a": 1'])
def test_arguments_that_are_no_json_are_exit_2(arguments: str, engine: Runtime) -> None:
    code, lines = policy("test", CONNECTION, "query", "--args", arguments)
    assert (code, len(lines)) == (2, 1)
    assert "--args" in lines[0]


# --- as a program ---


@pytest.fixture
def fresh_installation(tmp_path: Path) -> Iterator[Gateway]:
    """An installation whose database was never migrated."""
    with installation(tmp_path) as gateway:
        gateway.configure(policy_text(rules=RULES))
        yield gateway


@pytest.mark.parametrize("action", ["export", "diff", "apply", "test"])
def test_an_unmigrated_database_is_exit_2_in_one_line(action: str, fresh_installation: Gateway) -> None:
    words = {"export": [], "test": [CONNECTION, "query"]}.get(
        action, [str(fresh_installation.folder / "holdgate.yaml")]
    )
    done = fresh_installation.manage("policy", action, *words, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "migrate" in done.stderr


def test_the_exit_codes_are_those_of_the_process(fresh_installation: Gateway) -> None:
    file = str(fresh_installation.folder / "holdgate.yaml")
    fresh_installation.manage("migrate")
    codes = [
        fresh_installation.manage("policy", *words, check=False).returncode
        for words in (("diff", file), ("apply", file), ("diff", file), ("diff", f"{file}.missing"))
    ]
    assert codes == [1, 0, 0, 2]
