"""What an approver reads: nothing is invisible, nothing rearranges itself, nothing is pushed out of sight."""

from __future__ import annotations

import json

import pytest

from approvals.legible import fields, glance, pieces, whole


def marks(text: str) -> list[str]:
    return [piece.text for piece in pieces(text) if piece.kind == "mark"]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\u202e", "U+202E"),
        ("\u200b", "U+200B"),
        ("\u00ad", "U+00AD"),
        ("\ufeff", "U+FEFF"),
        ("\u00a0", "U+00A0"),
        ("\u3164", "U+3164"),
        ("\u2800", "U+2800"),
        ("\ufe0f", "U+FE0F"),
        ("\x1b", "U+001B"),
        ("\r", "U+000D"),
        ("\U000e0041", "U+E0041"),
        ("\ud800", "U+D800"),
        ("\u2028", "U+2028"),
    ],
)
def test_a_character_that_cannot_be_seen_is_named(character: str, name: str) -> None:
    assert marks(f"DROP{character} TABLE") == [name]


@pytest.mark.parametrize("text", ["plain", "line\nbreak\tand tab", "Zürich, Ελλάδα, 東京", "(a + b) != c"])
def test_ordinary_text_of_any_language_is_left_alone(text: str) -> None:
    assert [piece.kind for piece in pieces(text)] == ["plain"]


def test_a_word_that_mixes_scripts_is_marked() -> None:
    found = pieces("DELETE FROM p\u0430yments")

    assert [(piece.text, piece.kind) for piece in found] == [("DELETE FROM ", "plain"), ("p\u0430yments", "foreign")]


def test_blank_space_that_pushes_text_out_of_sight_is_counted() -> None:
    found = pieces("SELECT 1" + " " * 500 + "; DROP TABLE a" + "\n" * 80 + "b")

    assert [piece.note for piece in found if piece.kind == "gap"] == [
        "500 spaces, shortened here",
        "80 line breaks, shortened here",
    ]


def test_nothing_of_the_text_is_lost_between_the_marks() -> None:
    text = "a\u200bb p\u0430y c"

    assert "".join(piece.text for piece in pieces(text)) == "aU+200Bb p\u0430y c"


def test_each_argument_becomes_a_field_with_its_path_and_type() -> None:
    found = fields('{"sql": "DELETE FROM a", "options": {"retry": 1.0, "tags": ["x"]}, "dry_run": false, "n": null}')

    assert [("".join(p.text for p in f.name), f.kind, "".join(p.text for p in f.value)) for f in found] == [
        ("sql", "SQL", "DELETE FROM a"),
        ("options.retry", "number", "1.0"),
        ("options.tags[0]", "text", "x"),
        ("dry_run", "boolean", "false"),
        ("n", "null", "null"),
    ]


def test_a_key_with_a_dot_does_not_look_like_a_path() -> None:
    (found,) = fields('{"where.id": 1}')

    assert "".join(piece.text for piece in found.name) == '"where.id"'


def test_a_number_is_shown_as_it_was_spelled() -> None:
    (found,) = fields('{"amount": 1e400}')

    assert found.value[0].text == "1e400"


@pytest.mark.parametrize("document", ["not json", "[1, 2]", '"text"', "[" * 100_000])
def test_whatever_is_no_object_is_one_field(document: str) -> None:
    assert len(fields(document)) == 1


def test_very_many_arguments_are_not_spread_out_one_by_one() -> None:
    assert len(fields(json.dumps({"rows": [{"id": str(number)} for number in range(500)]}))) == 1


def test_the_short_line_names_the_values_and_hides_no_mark() -> None:
    (line,) = glance('{"dry_run": false, "sql": "DELETE\\n FROM a\\u202e"}')

    assert line.text == "DELETE FROM a⟨U+202E⟩ · dry_run: false"


def test_a_whole_document_keeps_its_numbers_and_shows_what_is_hidden() -> None:
    assert "".join(piece.text for piece in whole('{"a": 1.0, "b": "x\u200b"}')) == '{\n  "a": 1.0,\n  "b": "xU+200B"\n}'


def test_a_run_of_one_hidden_character_is_named_once() -> None:
    assert marks("a" + "\u200b" * 1000 + "b") == ["U+200B ×1000"]


def test_a_long_value_shows_its_beginning_and_its_size() -> None:
    (found,) = fields(json.dumps({"sql": "DELETE FROM a;\n" + "-- filler\n" * 1000}))

    assert (found.is_long, found.size, found.lines) == (True, 10_015, 1002)
    assert "".join(piece.text for piece in found.head).endswith("-- filler …")


def test_what_is_too_long_for_a_page_says_how_much_is_missing() -> None:
    (found,) = fields(json.dumps({"text": "x" * 300_000}))

    assert found.value[-1].text == " ⋯ 100000 more characters ⋯ "
    assert len(glance(json.dumps({"text": "x" * 300_000}))[0].text) < 200
