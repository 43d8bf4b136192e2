"""Tables, lines of JSON and assignments inside of text."""

import orjson
import pytest

from masking.engine import Engine
from masking.paths import parse_path
from masking.rules import MaskingRule

RULES = (
    MaskingRule(name="columns", fields=("ssn", "**.salary")),
    MaskingRule(name="secrets", detectors=("password_assignment", "email")),
)
MASKER = Engine(RULES, hash_key=b"k" * 32).masker("c", None)


def test_columns_of_a_pipe_table_are_hidden_whatever_they_hold() -> None:
    head, tail = "| name | SSN | x |\n|------|-----|---|\n", "\n\nssn is a word here"
    shown = MASKER.text(head + "| bob | n/a | 1 |\n| al | 77 | 2 |" + tail)
    assert shown == head + "| bob | [ssn] | 1 |\n| al | [ssn] | 2 |" + tail


def test_columns_of_a_database_box_are_hidden() -> None:
    box = "+-----+--------+\n| id  | salary |\n+-----+--------+\n| 1   |  50000 |\n+-----+--------+\n1 row"
    assert "50000" not in MASKER.text(box)
    assert MASKER.text(" id | salary \n----+--------\n  1 |  50000 \n(1 row)") == (
        " id | salary \n----+--------\n  1 |  [salary] \n(1 row)"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_of_separated_values_are_hidden_also_in_quotes_and_over_lines(delimiter: str) -> None:
    text = 'name,ssn,password\nbob,12,p1\n"al, b","4\n5",p2\n\nnothing'.replace(",", delimiter)
    shown = MASKER.text(text)
    assert [line.split(delimiter)[-2] for line in shown.splitlines()[1:3]] == ["[ssn]", "[ssn]"]
    assert "p1" not in shown
    assert "p2" not in shown
    assert shown.endswith("\n\nnothing")


def test_lines_of_json_and_pretty_json_are_masked_structurally() -> None:
    assert MASKER.text('{"ssn":1}\n{"a":{"salary":"x"}}') == '{"ssn":0}\n{"a":{"salary":"[salary]"}}'
    pretty = orjson.dumps({"a": [{"ssn": "x"}]}, option=orjson.OPT_INDENT_2).decode()
    assert MASKER.text(pretty) == pretty.replace('"x"', '"[ssn]"')


def test_lines_that_are_not_all_json_are_text_and_count_once() -> None:
    outcome = MASKER.json(orjson.dumps(['{"a":"a@b.com","ssn":1}\n{"cut":']))
    assert orjson.loads(outcome.body) == ['{"a":"[email]","ssn":0}\n{"cut":']
    assert outcome.hits == {"email": 1, "ssn": 1}


def test_a_path_without_a_name_reaches_into_json_inside_of_text() -> None:
    first = Engine((MaskingRule(name="first", fields=("[0]",)),), hash_key=b"k" * 32).masker("c", None)
    assert first.value({"t": '["x",2]'}) == {"t": '["[first]",2]'}


def test_a_table_is_found_where_quotes_part_the_name_of_a_column() -> None:
    shown = MASKER.text('x,"pass"word\na,p1\na@b.com,p2')
    assert shown == 'x,"pass"word\na,[password_assignment]\n[email],[password_assignment]'


def test_assignments_in_text_follow_field_rules() -> None:
    assert MASKER.text("user: bob, ssn: 12-34, x") == "user: bob, ssn: [ssn], x"
    assert MASKER.text('log {"salary": "5 000"} end') == 'log {"salary": "[salary]"} end'
    assert MASKER.text("lesson: ok") == "lesson: ok"


def test_results_with_columns_beside_rows_are_masked_by_position() -> None:
    value = {"columns": ["id", {"name": "ssn"}], "rows": [[1, "x"], [2, 3]]}
    assert MASKER.value(value)["rows"] == [[1, "[ssn]"], [2, 0]]


def test_a_name_that_only_heads_a_column_or_stands_beside_its_value_is_enough() -> None:
    for document in (
        b'{"t":"name,password\\nbob,p1"}',
        b'{"columns":["password"],"rows":[["p1"]]}',
        b'[{"name":"DB_PASSWORD","value":"p1"}]',
    ):
        assert b"p1" not in MASKER.json(document).body


def test_a_variable_named_beside_its_value_is_masked() -> None:
    value = [{"name": "DB_PASSWORD", "value": "x"}, {"key": "ssn", "value": 5}, {"name": "a", "value": "b"}]
    assert [item["value"] for item in MASKER.value(value)] == ["[password_assignment]", 0, "b"]


@pytest.mark.parametrize(
    ("path", "place", "matches"),
    [
        ("ssn", ("a", 3, "ssn"), True),
        ("ssn", ("ssn", "a"), False),
        ("**.salary", ("salary",), True),
        ("**.salary", ("a", "b", "salary"), True),
        ("customers[*].Date_Of_Birth", ("result", "customers", 0, "date_of_birth"), True),
        ("customers[*].date_of_birth", ("customers", "x", "date_of_birth"), False),
        ("customers[0].a", ("customers", 1, "a"), False),
        ("a.*.c", ("a", "b", "c"), True),
        ("a.*.c", ("a", 0, "c"), False),
        ("a.**.c", ("a", "b", 0, "c"), True),
        ("a.**.c", ("a", "c"), True),
        ("a.**", ("x", "a", "b", "c"), True),
        ("a.b.a.c", ("a", "b", "a", "b", "a", "c"), True),
    ],
)
def test_paths(path: str, place: tuple[str | int, ...], matches: bool) -> None:
    assert parse_path(path).matches(place) is matches


def test_a_path_of_one_name_names_a_column() -> None:
    assert parse_path("ssn").column == "ssn"
    assert parse_path("**.Salary").column == "salary"
    assert parse_path("a.salary").column is None
