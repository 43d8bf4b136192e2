"""The code keeps its shape, and the check that says so would notice if it did not."""

from __future__ import annotations

from tests.house import shape


def test_the_code_keeps_its_shape() -> None:
    assert shape.problems() == []


def test_a_function_is_measured_from_def_to_its_last_line() -> None:
    source = "@decorated\ndef outer():\n    'why'\n    async def inner():\n        pass\n    return inner\n"

    assert [(found.name, found.lines) for found in shape.functions(source, "a.py")] == [
        ("outer", 5),
        ("inner", 2),
    ]


def test_a_function_over_the_limit_is_named() -> None:
    source = "def long():\n" + "    pass\n" * shape.FUNCTION_LINES

    assert shape.long_functions(shape.functions(source, "proxy/a.py")) == [
        "proxy/a.py:1: long has 61 lines, at most 60"
    ]


def test_two_long_functions_of_ten_are_too_many() -> None:
    usual = shape.Function("a.py:1", "usual", shape.USUAL_LINES)
    long = shape.Function("a.py:1", "long", shape.USUAL_LINES + 1)

    assert shape.usual_share([usual] * 9 + [long]) >= shape.USUAL_SHARE
    assert shape.usual_share([usual] * 8 + [long] * 2) < shape.USUAL_SHARE
