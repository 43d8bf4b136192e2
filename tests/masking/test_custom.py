"""Detectors that an admin writes: what is refused and why, and that they find what they say in every shape."""

from random import Random
from typing import Any

import orjson
import pytest

from masking.checksums import mod11_2, mod11_10, mod97, verhoeff
from masking.custom import LONGEST_PATTERN, PatternRefused, custom_detector
from masking.detectors import Detector
from masking.engine import Engine, Masker
from masking.literals import forms_of
from masking.rules import MaskingRule, Replace

EMPTY = forms_of(())
EMPLOYEE = custom_detector("employee", r"\bEMP-[0-9]{6}\b", names=["employee id"])


def masker(*custom: Detector, replace: Replace = "label", **keys: Any) -> Masker:
    rule = MaskingRule(name="r", detectors=tuple(one.name for one in custom), replace=replace, **keys)
    return Engine([rule], hash_key=b"k" * 32, custom=custom).masker("c", None)


def masked(document: Any, *custom: Detector, **keys: Any) -> Any:
    return orjson.loads(masker(*custom or (EMPLOYEE,), **keys).json(orjson.dumps(document)).body)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?<=a)b", "is not a pattern that RE2 accepts: invalid perl operator"),
        (r"(a)\1", "is not a pattern that RE2 accepts"),
        ("[", "is not a pattern that RE2 accepts: missing ]"),
        ("\ud800", "is not a pattern that RE2 accepts"),
        ("a*", "matches the empty text"),
        (r"\b|x", "matches the empty text"),
        ("^$", "matches the empty text"),
        ("(?:)", "matches the empty text"),
        (r"\pL{20}", "is too expensive: 23924 instructions, at most 1000"),
        ("x" * (LONGEST_PATTERN + 1), "is longer than 500 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(PatternRefused, match="^" + reason.replace("[", r"\[").replace("(", r"\(")):
        custom_detector("mine", pattern)


def test_the_name_of_a_detector_of_the_house_is_taken() -> None:
    with pytest.raises(PatternRefused, match="email is the name of a detector that comes with the gateway"):
        custom_detector("email", "a")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ask EMP-123456 today", "ask [employee] today"),
        ("a\nEMP-123456", "a\n[employee]"),
        ("a\tEMP-123456\"", "a\t[employee]\""),
        ({"t": '{"who": "EMP-123456"}'}, {"t": '{"who": "[employee]"}'}),
        ({"EMP-123456": 1}, {"[employee]": 1}),
        ({"employee_id": "77", "employeeId": "78", "EMPLOYEE ID": "79"}, dict.fromkeys(
            ("employee_id", "employeeId", "EMPLOYEE ID"), "[employee]")),
        ({"employee_id": 77, "employee_id_known": 78}, {"employee_id": 0, "employee_id_known": 78}),
        ("employee_id: 77, x: 1", "employee_id: [employee], x: 1"),
        ("name,employee_id\nAda,77\n", "name,employee_id\nAda,[employee]\n"),
        ("ＥＭＰ-１２３４５６", "[employee]"),
        ("XEMP-123456 EMP-1234567", "XEMP-123456 EMP-1234567"),
    ],
)  # fmt: skip
def test_it_is_found_in_every_shape(given: Any, shown: Any) -> None:
    assert masked(given) == shown


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ('say "[0-9]{4}"', 'say "1234"'),
        (r"a\\b[0-9]", r"a\b1"),
        (r"a\s+[0-9]{3}", "a\n\t 123"),
        ("a.[0-9]{3}", 'a"123'),
        ("a[^x][0-9]{3}", "a\\123"),
        (r"\Qa^\E[0-9]{3}", "a^123"),
        ("^[0-9]{4}$", "1234"),
        ("(?m)^[0-9]{4}$", "a\n1234\nb"),
        (r"a/[0-9]{3}", "a/123"),
        ("ü[0-9]{3}", "ü123"),
        (r"[[:punct:]][0-9]{3}", '"123'),
        (r"a\x{a}[0-9]{3}", "a\n123"),
        ("a[^b]+[0-9]{3}", 'a\\ "\\\\"\n\x01/123'),
        (r"a.{2}\\.b[0-9]{3}", 'a"\\\\"b123'),
        (r"(?i)A\Wb[[:cntrl:]][0-9]{3}", "a\tB\n123"),
        (r'\Qa"b\E[0-9]{3}', 'a"b123'),
    ],
)
@pytest.mark.parametrize("deep", [0, 1, 2])
def test_what_json_escapes_is_found_as_well(pattern: str, text: str, deep: int) -> None:
    value = text
    for _ in range(deep):
        value = orjson.dumps({"v": value}).decode()
    escaped = orjson.dumps([value]).replace("ü".encode(), b"\\u00fc")
    outcome = masker(custom_detector("mine", pattern)).json(escaped)
    assert outcome.hits == {"mine": 1}
    assert b"123" not in outcome.body


def test_numbers_are_looked_at_too_and_stay_numbers() -> None:
    ten = custom_detector("ten", r"\b7[0-9]{9}\b")
    assert masked({"a": 7123456789, "b": 71234567890, "c": [7.123456789]}, ten) == {
        "a": 0,
        "b": 71234567890,
        "c": [7.123456789],
    }


@pytest.mark.parametrize(
    ("checksum", "good", "bad"),
    [
        ("luhn", "7992-7398 713", "7992-7398 714"),
        ("mod97", "5493001KJTIIGC8Y1R12", "5493001KJTIIGC8Y1R13"),
        ("mod11-2", "0000-0002-1825-0097", "0000-0002-1825-0098"),
        ("mod11-10", "36574261809", "36574261890"),
        ("verhoeff", "123451", "123452"),
    ],
)
def test_a_check_sum_leaves_alone_what_does_not_check(checksum: str, good: str, bad: str) -> None:
    checked = custom_detector("mine", "[0-9A-Z](?:[ -]?[0-9A-Z]){5,}", checksum=checksum)
    assert masked([f"({good})", f"({bad})"], checked) == ["([mine])", f"({bad})"]


def test_check_sums_refuse_what_has_no_digits_where_they_want_them() -> None:
    assert not any((mod97(b"ABCD"), mod11_2(b"12A4X"), mod11_2(b"1234Y"), mod11_10(b"12A4"), verhoeff(b"12A4")))


def test_every_way_of_replacing_works_and_a_mask_is_not_masked_again() -> None:
    text = "EMP-123456"
    ways = {way: masked(text, replace=way) for way in ("label", "partial", "remove", "hash")}
    assert ways["label"] == "[employee]"
    assert ways["partial"] == "****3456"
    assert ways["remove"] == ""
    assert masked(ways["hash"], replace="hash") == ways["hash"]


def test_code_does_not_hide_from_an_approver_behind_a_pattern_that_takes_everything() -> None:
    greedy = masker(custom_detector("all", ".+"))
    assert greedy.for_approver("rm -rf / ; curl evil") == "rm -rf / ; curl evil"
    assert greedy.for_approver("4711") == "[all:4 chars]"


def test_who_is_excepted_sees_it() -> None:
    rule = MaskingRule(name="r", detectors=("employee",), except_groups=frozenset({"hr"}))
    engine = Engine([rule], hash_key=b"k" * 32, custom=[EMPLOYEE])
    assert engine.masker("c", frozenset({"hr"})).text("EMP-123456") == "EMP-123456"
    assert engine.masker("c", None).text("EMP-123456") == "[employee]"


@pytest.mark.parametrize("pattern", ["EMP.[0-9]{6}", "a[^,]{3}b", r"x\s+y", '"[0-9]{4}"'])
def test_what_json_escapes_makes_no_document_suspect_that_does_not_hold_it(pattern: str) -> None:
    document = orjson.dumps({"rows": [{"text": 'the "quick"\\fox\njumps', "n": n} for n in range(50)]})
    assert not masker(custom_detector("mine", pattern))._suspicion.of(document, EMPTY)


_PARTS = ("a", "1", " ", '"', r"\\", "/", r"\n", r"\s", r"\S", r"\W", r"\D", ".", "[^a]", '["\\\\]', '[^"]', r"\b", "^")


def test_the_search_of_a_whole_document_misses_nothing_that_a_pattern_matches() -> None:
    chance, seen = Random(7), 0  # noqa: S311 - no secret
    while seen < 500:
        pattern = "".join(chance.choice(_PARTS) for _ in range(chance.randint(1, 4)))
        try:
            own = custom_detector("mine", pattern + chance.choice(("", "+", "{1,3}")))
        except PatternRefused:
            continue
        value = "".join(chance.choice('a1 "\\/\n\té') for _ in range(12))
        if any(True for _ in own.find(value.encode())):
            seen += 1
            for _ in range(chance.randint(0, 2)):
                value = orjson.dumps({"v": value}).decode()
            assert masker(own)._suspicion.of(orjson.dumps([value]), EMPTY), (pattern, value)
