"""Values written so that a search for their letters finds nothing: every way by name, and ways inside of ways."""

import base64
from random import Random

import orjson
import pytest

from masking.detectors import DETECTORS
from masking.engine import Engine, MaskingFailed
from masking.rules import MaskingRule
from tests.masking.escapings import CODED, FOLDED, FRAMES, written

ENGINE = Engine([MaskingRule(name="all", detectors=tuple(DETECTORS), fields=("ssn",))], hash_key=b"k" * 32)
MASKER = ENGINE.masker("c", None)
SECRETS = (
    *("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "alice@example.com", "123-45-6789"),
    *("DE89 3704 0044 0532 0130 00", "+49 30 90182011", "postgres://app:hunter2secret@db/orders", "ghp_" + "a1B2" * 9),
)


def hides(text: str) -> None:
    """Assert that something in the text is hidden, in a document, in plain text and again in what came of it."""
    document = orjson.dumps([text])
    outcome = MASKER.json(document)
    assert outcome.hits, text
    assert outcome.changed
    assert MASKER.text(text) == orjson.loads(outcome.body)[0]
    again = MASKER.json(outcome.body)
    assert (dict(again.hits), again.body) == ({}, outcome.body), text


@pytest.mark.parametrize("way", CODED)
def test_a_value_in_a_code_is_found(way: str) -> None:
    for secret in SECRETS:
        for folded in FOLDED.values():
            hides(CODED[way](folded(secret)))


@pytest.mark.parametrize("way", FOLDED)
def test_a_value_in_other_letters_is_found(way: str) -> None:
    for secret in SECRETS:
        for frame in FRAMES:
            hides(frame.replace("{}", FOLDED[way](secret)))


def test_a_value_in_codes_inside_of_codes_is_found() -> None:
    random = Random(7)  # noqa: S311  # nothing secret
    for _ in range(1000):
        text, ways = written(random.choice(SECRETS), random)
        assert MASKER.json(orjson.dumps([text])).hits, (ways, text)


def test_only_the_value_goes_where_its_codes_stand_among_others() -> None:
    assert MASKER.text("a%20b alice%40example.com &amp; x") == "a%20b [email] &amp; x"
    assert MASKER.text("C:\\new\\alice\\x40example.com \\n") == "C:\\new\\[email] \\n"
    assert MASKER.text("mail=alice%40example.com&x=%31") == "mail=[email]&x=%31"
    assert MASKER.text("100% sure &c; \\d+ &nosuch; %zz") == "100% sure &c; \\d+ &nosuch; %zz"


def test_base64_that_holds_a_value_is_packed_again_around_its_mask() -> None:
    text = base64.b64encode(b'{"ssn": "x", "note": "for alice@example.com, \xc3\xa9"}').decode()
    shown = MASKER.text(f"file: {text}!")
    packed = shown.removeprefix("file: ").removesuffix("!")
    assert base64.b64decode(packed).decode() == '{"ssn": "[ssn]", "note": "for [email], é"}'
    assert MASKER.json(orjson.dumps({text: 1})).hits == {"ssn": 1, "email": 1}


@pytest.mark.parametrize("behind", ["\n8 iban", "\nx", "\n2", " 8"])
def test_what_follows_base64_in_the_next_line_stays(behind: str) -> None:
    packed = base64.b64encode(b"of alice@example.com, who paid with 4111 1111 1111 1111 ....").decode()
    masked = base64.b64encode(b"of [email], who paid with [credit_card] ....").decode()
    for text in (packed + behind, packed + behind.replace("\n", "\\n")):
        assert MASKER.text(text) == text.replace(packed, masked)


def test_base64_of_anything_else_stays() -> None:
    binary = base64.b64encode(bytes(range(128, 256)) + b"alice@example.com").decode()
    for text in (binary, base64.b64encode(b"nothing of interest here").decode(), "0123456789abcdef" * 4, "a/b/c" * 20):
        document = orjson.dumps({"data": text, "id": text})
        assert MASKER.json(document).body is document


def test_what_is_wrapped_too_often_is_withheld() -> None:
    text = "alice@example.com"
    for _ in range(20):
        text = base64.b64encode(f"x {text}".encode()).decode()
    with pytest.raises(MaskingFailed):
        MASKER.json(orjson.dumps([text]))


@pytest.mark.parametrize("depth", [6, 10])
def test_json_in_text_is_read_at_any_depth(depth: int) -> None:
    text = '{"ssn":"x","a":"alice\\u0040example.com"}'
    for _ in range(depth):
        text = orjson.dumps([text]).decode()
    found = orjson.loads(MASKER.json(text.encode()).body)
    for _ in range(depth):
        (found,) = orjson.loads(found) if isinstance(found, str) else found
    assert orjson.loads(found) == {"ssn": "[ssn]", "a": "[email]"}


@pytest.mark.parametrize("between", ["\x00", "\x1f", "\u00ad", "\u200b", "\u2060", "\ufeff"])
def test_what_has_no_width_parts_a_value_from_what_stands_before_it(between: str) -> None:
    for secret in ("ghp_" + "a1B2" * 9, "4111111111111111", "DE89370400440532013000"):
        text = f"x7{between}{secret}"
        assert secret not in MASKER.text(text)
        assert secret.encode() not in MASKER.json(orjson.dumps([text])).body
