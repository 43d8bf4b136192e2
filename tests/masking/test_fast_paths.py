"""What is done for many at once, or by a shorter way, is what the plain way does."""

import string
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.detectors import DETECTORS
from masking.engine import Engine, Masker
from masking.finding import BETWEEN
from masking.literals import WORDS
from masking.personal import _EMAIL, _ascii_emails, _ibans, _stands_alone, find_ibans
from masking.rules import MaskingRule, Replace

ADDRESSES = st.lists(
    st.sampled_from(
        ["ada", "o'neil", "'", '"', '"a b"', "@", ".", "..", "-", "example.com", "x", ".c", ".co1", " ", "\n"]
    )
    | st.sampled_from(["xn--p1ai", ".xn--80", "XN--", "1", "git@", ":", ",", "a" * 40, "b'" * 200, "\r", "\\"]),
    max_size=14,
).map("".join)
ROWS = st.lists(st.sampled_from(["mia@example.com", "4111 1111 1111 1111", "no", "", "DE89370400440532013000", "x y"]))


@settings(max_examples=200)
@given(ADDRESSES | st.text(alphabet=string.printable, max_size=60))
def test_addresses_are_found_as_their_pattern_finds_them(text: str) -> None:
    assert _ascii_emails(text.encode()) == _EMAIL.spans(text.encode())


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "x", "NO93", " ", "-"])))
def test_an_iban_that_a_letter_touches_is_none_however_soon_that_is_seen(pieces: list[str]) -> None:
    text = "".join(pieces).encode()
    whole = [span for span in _ibans(text) if _stands_alone(text, *span)]
    assert set(whole) <= set(find_ibans(text))
    assert all(_stands_alone(text, *span) for span in find_ibans(text))


def _masker(replace: Replace) -> Masker:
    rules = [MaskingRule(name="all", detectors=tuple(sorted(DETECTORS)), fields=("ssn",), replace=replace)]
    return Engine(rules, hash_key=b"k" * 32).masker("c", None)


MASKERS: dict[Replace, Masker] = {"label": _masker("label"), "hash": _masker("hash"), "remove": _masker("remove")}


@pytest.mark.parametrize("replace", sorted(MASKERS))
@settings(max_examples=25)
@given(ROWS, st.booleans())
def test_many_texts_at_once_are_masked_like_each_alone(replace: Replace, rows: list[str], parted: bool) -> None:
    """Also where a text holds what parts the texts, so that they cannot be told apart at once."""
    texts = [f"{number}: {row}{BETWEEN if parted and not number % 3 else ''}." for number, row in enumerate(rows * 8)]
    masker = MASKERS[replace]
    assert masker.value(texts) == [masker.value(text) for text in texts]
    assert masker.value([{"row": 1, "note": text} for text in texts]) == [
        {"row": 1, "note": masker.value(text)} for text in texts
    ]


@pytest.mark.parametrize("replace", sorted(MASKERS))
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(['"a, b"', "12", "", '"q""q"', "' x'", "a@b.co", "string"]), min_size=1)))
def test_rows_of_a_table_are_masked_like_each_below_its_own_header(
    replace: Replace, delimiter: str, rows: list[list[str]]
) -> None:
    lines = [delimiter.join(["7", *row]) for row in rows]
    header = delimiter.join(("id", "ssn", "password"))
    whole = MASKERS[replace].text("\n".join([header, *lines])).split("\n")
    alone = [MASKERS[replace].text(f"{header}\n{line}").split("\n")[1:] for line in lines]
    assert whole[1:] == [line for found in alone for line in found]


@pytest.mark.parametrize("detectors", [tuple(sorted(DETECTORS)), ()], ids=["all detectors", "fields alone"])
def test_the_words_of_the_protocol_are_searched_where_a_rule_or_a_secret_reaches_them(
    detectors: tuple[str, ...],
) -> None:
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": {"level": "info", "logger": "structuredContent", "data": {"logger": "warning", "message": "seen"}},
    }
    rules = [MaskingRule(name="r", detectors=detectors, fields=("logger",))]
    masked = Engine(rules, hash_key=b"k" * 32).masker("c", None).json(orjson.dumps(message))
    assert orjson.loads(masked.body)["params"]["data"] == {"logger": "[logger]", "message": "seen"}
    secret = Engine([], hash_key=b"k" * 32).masker("c", None).json(orjson.dumps(message), literals=("warning",))
    assert orjson.loads(secret.body)["params"]["data"] == {"logger": "[credential]", "message": "seen"}
    assert "warning" in WORDS
