"""Output schemas relaxed for what is hidden."""

from masking.engine import Engine
from masking.rules import MaskingRule
from masking.schemas import relax_schema, required_names

SCHEMA = {
    "type": "object",
    "required": ["ssn", "mail"],
    "properties": {
        "ssn": {"type": "string", "pattern": "^[0-9-]+$", "minLength": 11},
        "level": {"type": "integer", "enum": [1, 2], "minimum": 1},
        "mail": {"type": "string", "format": "email"},
        "who": {"enum": ["a@b.com", "c@d.com", "none"]},
        "list": {"type": "array", "items": {"type": "object", "properties": {"ssn": {"const": "x"}}}},
    },
}


def test_hidden_members_keep_their_type_only() -> None:
    masker = Engine([MaskingRule(name="f", fields=("ssn", "level"))], hash_key=b"k").masker("c", None)
    relaxed = relax_schema(SCHEMA, masker)
    assert relaxed["properties"]["ssn"] == {"type": "string"}
    assert relaxed["properties"]["level"] == {"type": "integer"}
    assert relaxed["properties"]["mail"] == {"type": "string", "format": "email"}
    assert relaxed["properties"]["list"]["items"]["properties"]["ssn"] == {}
    assert relaxed["required"] == ["ssn", "mail"]


def test_texts_that_may_be_masked_lose_formats_and_enums_are_masked() -> None:
    masker = Engine([MaskingRule(name="d", detectors=("email",))], hash_key=b"k").masker("c", None)
    relaxed = relax_schema(SCHEMA, masker)
    assert relaxed["properties"]["mail"] == {"type": "string"}
    assert relaxed["properties"]["ssn"] == {"type": "string"}
    assert relaxed["properties"]["who"] == {"enum": ["[email]", "none"]}
    assert relaxed["properties"]["level"] == SCHEMA["properties"]["level"]  # type: ignore[index]  # a literal above


def test_required_names_are_collected_at_any_depth() -> None:
    assert required_names({"required": ["A"], "properties": {"x": {"required": ["b", 3]}}}) == {"a", "b"}
