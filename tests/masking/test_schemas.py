"""Masked answers that still satisfy the tool's output schema, judged by a validator that is not ours."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.engine import Engine
from masking.rules import MaskingRule
from masking.samples import of_pattern
from masking.schemas import OutputSchema, Unfit, required_names

EMAIL, CARD = "ada@example.com", 4111111111111111
HIDDEN = "hidden"
RULES = [
    MaskingRule(name="d", detectors=("email", "credit_card", "us_ssn")),
    MaskingRule(name="f", fields=(HIDDEN,)),
    MaskingRule(name="h", fields=("key",), replace="hash"),
    MaskingRule(name="r", fields=("gone",), replace="remove"),
]
MASKER = Engine(RULES, hash_key=b"0123456789abcdef").masker("c", None)


def fitted(schema: Any, value: Any) -> Any:
    """Mask an answer with this structured content, let it fit the schema, and return what is left of the content."""
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": [], "structuredContent": value}}).encode()
    output = OutputSchema(schema)
    masked = MASKER.json(message, required=output.required)
    return json.loads(output.fit(message, masked.body, MASKER))["result"]["structuredContent"]


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


TEXT = {"type": "string"}
CASES: dict[str, tuple[Any, Any]] = {
    "plain": (TEXT, "x"),
    "email": ({"type": "string", "format": "email"}, EMAIL),
    "uri": ({"type": "string", "format": "uri"}, f"https://h.example/?to={EMAIL}"),
    "uuid": ({"type": "string", "format": "uuid"}, "123e4567-e89b-12d3-a456-426614174000"),
    "date": ({"type": "string", "format": "date"}, "1999-12-31"),
    "date-time": ({"type": "string", "format": "date-time"}, "1999-12-31T23:59:59Z"),
    "ipv4": ({"type": "string", "format": "ipv4"}, "10.1.2.3"),
    "hostname": ({"type": "string", "format": "hostname"}, "db.example.com"),
    "pattern": ({"type": "string", "pattern": "^[0-9]{3}-[0-9]{2}-[0-9]{4}$"}, "123-45-6789"),
    "pattern with words": ({"type": "string", "pattern": r"^(cus|acc)_[A-Za-z0-9]{8,}$"}, "cus_a1b2c3d4e5"),
    "pattern with escapes": ({"type": "string", "pattern": r"^\+\d{1,3}\s?\w+\.[^@\s]+$"}, "+49 x.y"),
    "lengths": ({"type": "string", "minLength": 11, "maxLength": 12}, "123-45-6789"),
    "short": ({"type": "string", "maxLength": 2}, "DE"),
    "enum": ({"type": "string", "enum": ["A", "B", "AB", "0"]}, "AB"),
    "const": ({"const": "only"}, "only"),
    "number": ({"type": "number", "minimum": 0.5, "maximum": 0.75}, 0.6),
    "integer": ({"type": "integer", "exclusiveMinimum": 17, "multipleOf": 5}, 35),
    "negative": ({"type": "integer", "maximum": -3}, -7),
    "boolean": ({"type": "boolean", "const": True}, True),
    "optional": ({"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]}, EMAIL),
    "by reference": ({"$ref": "#/$defs/mail"}, EMAIL),
    "numbers of an enum": ({"type": "integer", "enum": [3, 5]}, 5),
    "either": ({"oneOf": [{"type": "string", "pattern": "^a+$"}, {"type": "integer"}]}, "aaa"),
    "list": ({"type": "array", "items": {"type": "string", "format": "email"}}, [EMAIL, "bob@example.com"]),
    "distinct": ({"type": "array", "items": TEXT, "uniqueItems": True}, [EMAIL, "bob@example.com"]),
    "object": (obj(mail={"type": "string", "format": "email"}, n={"type": "integer", "minimum": 1}), None),
}
CASES["object"] = (CASES["object"][0], {"mail": EMAIL, "n": 4})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("field", [HIDDEN, "key", "gone"])
def test_what_stands_for_a_hidden_value_satisfies_the_schema(name: str, field: str) -> None:
    part, value = CASES[name]
    schema = {**obj(**{field: part, "seen": TEXT}), "$defs": {"mail": {"type": "string", "format": "email"}}}
    before = {field: value, "seen": "as it is"}
    jsonschema.validate(before, schema, jsonschema.Draft202012Validator)

    after = fitted(schema, before)

    jsonschema.validate(after, schema, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker())
    assert after["seen"] == "as it is"
    if name not in {"boolean", "const"}:
        assert EMAIL not in json.dumps(after)
        assert after[field] != value, "what is hidden stands there as it was"


def test_labels_stay_where_the_schema_takes_them() -> None:
    assert fitted(obj(**{HIDDEN: TEXT, "mail": TEXT}), {HIDDEN: "x", "mail": EMAIL}) == {
        HIDDEN: f"[{HIDDEN}]",
        "mail": "[email]",
    }


def test_equal_values_have_equal_pseudonyms_of_the_right_type_and_others_differ() -> None:
    schema = obj(rows={"type": "array", "items": obj(key={"type": "integer", "minimum": 1, "maximum": 10**6})})
    mails = obj(rows={"type": "array", "items": obj(key={"type": "string", "format": "email"})})
    numbers = [row["key"] for row in fitted(schema, {"rows": [{"key": one} for one in (7, 8, 7)]})["rows"]]
    texts = [row["key"] for row in fitted(mails, {"rows": [{"key": f"{one}@x.org"} for one in "aba"]})["rows"]]

    for found in (numbers, texts):
        assert found[0] == found[2] != found[1]
    assert all(1 <= one <= 10**6 for one in numbers)


def test_a_member_without_any_harmless_value_is_left_out_where_it_is_optional() -> None:
    impossible = {"type": "string", "pattern": "(?=look)ahead"}
    schema = {**obj(**{HIDDEN: impossible, "other": TEXT}), "required": ["other"]}

    assert fitted(schema, {HIDDEN: "lookahead", "other": "x"}) == {"other": "x"}


def test_an_answer_that_cannot_fit_is_not_given() -> None:
    with pytest.raises(Unfit):
        fitted(obj(**{HIDDEN: {"type": "string", "pattern": "(?=look)ahead"}}), {HIDDEN: "lookahead"})
    with pytest.raises(Unfit):  # nothing is fetched to understand a schema
        fitted(obj(**{HIDDEN: {"$ref": "http://127.0.0.1:1/x", "format": "email"}}), {HIDDEN: EMAIL})


def test_what_a_schema_lists_is_masked_for_the_caller_and_answers_agree() -> None:
    schema = obj(who={"type": "string", "enum": [EMAIL, "bob@example.com", "none"]})
    assert fitted(schema, {"who": EMAIL}) == {"who": "[email]"}


def test_an_upstream_that_breaks_its_own_schema_is_passed_on_masked() -> None:
    schema = {**obj(**{HIDDEN: {"type": "string", "format": "email"}}), "not": {"required": ["more"]}}
    assert fitted(schema, {HIDDEN: EMAIL, "more": "x"})["more"] == "x"


@pytest.mark.parametrize(
    "hostile",
    [
        {"$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)} | {"a60": TEXT}},
        {"pattern": "(a+)+$", "oneOf": [{"pattern": "(a|a)*b"}, {}]},
        {"properties": {HIDDEN: {"$ref": "#"}}, "not": {"$ref": "#"}, "format": "email"},
        {"properties": {HIDDEN: {"type": "number", "multipleOf": 1e-300, "minimum": 1e300}}},
        {"properties": {HIDDEN: {"type": "string", "pattern": "((((a{200}){200}){200}){200})"}}},
    ],
)
def test_hostile_schemas_take_no_more_than_their_share(hostile: Any) -> None:
    schema = {"type": "object", **hostile}
    if "$defs" in schema:
        schema["properties"] = {HIDDEN: {"allOf": [{"$ref": "#/$defs/a0"}, {"format": "email"}]}}
    began = time.process_time()
    with contextlib.suppress(Unfit):
        fitted(schema, {HIDDEN: "a" * 10_000, "x": "a" * 40})
    assert time.process_time() - began < 3


_SCALARS = st.one_of(
    st.builds(
        lambda low, size: ({"type": "integer", "minimum": low, "maximum": low + size}, low),
        st.integers(-1000, 1000),
        st.integers(0, 50),
    ),
    st.builds(
        lambda least, most: ({"type": "string", "minLength": least, "maxLength": least + most}, "z" * least),
        st.integers(0, 40),
        st.integers(0, 40),
    ),
    st.sampled_from([(part, value) for part, value in CASES.values() if "$ref" not in part]),
)


@given(st.dictionaries(st.sampled_from([HIDDEN, "key", "gone", "a", "b"]), _SCALARS, min_size=1))
def test_whatever_the_schema_the_masked_answer_satisfies_it(members: dict[str, tuple[Any, Any]]) -> None:
    schema = obj(**{name: part for name, (part, _) in members.items()})
    value = {name: one for name, (_, one) in members.items()}
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)

    jsonschema.validate(fitted(schema, value), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("pattern", ["(?<=x)y", r"(a)\1", "[[:alpha:]]", "a{9999}", "(", "[", "\\", "*"])
def test_patterns_that_are_not_understood_have_no_sample(pattern: str) -> None:
    assert of_pattern(pattern) is None


def test_required_names_are_collected_at_any_depth() -> None:
    assert required_names({"required": ["A"], "properties": {"x": {"required": ["b", 3]}}}) == {"a", "b"}
