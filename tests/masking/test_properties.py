"""What holds for every document: nothing planted survives, nothing else changes, work grows with size."""

import ast
import string
import sys
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

import masking
from masking.detectors import BY_NAME, DETECTORS, detect
from masking.engine import Engine, MaskingFailed
from masking.rules import MaskingRule

ENGINE = Engine([MaskingRule(name="all", detectors=tuple(DETECTORS), fields=("ssn",))], hash_key=b"k" * 32)
MASKER = ENGINE.masker("c", None)
LETTERS = st.text(alphabet=string.ascii_lowercase + " .,:;-_/\\\"'\n\t{}[]", max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1000, 1000, width=16) | LETTERS
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=15,
)
SECRETS = st.sampled_from(["4111111111111111", "5555-5555-5555-4444", "alice@example.com", "123-45-6789"])
JSON_TEXT = st.text(alphabet='{}[]":,\\u004@1234 aen-.|\n', max_size=80)


def _planted(document: Any, secret: str, way: int) -> Any:
    if way == 0:
        return {"found": [document, f"see {secret} there"]}
    if way == 1:
        return {"text": orjson.dumps({"a": document, "b": secret}).decode()}
    if way == 2:
        return [document, {secret: document}]
    return {"t": f"id | x\n---|---\n1 | {secret}\n", "d": document}


@settings(max_examples=150)
@given(DOCUMENTS, SECRETS, st.integers(0, 3), st.booleans())
def test_a_planted_secret_never_survives(document: Any, secret: str, way: int, escaped: bool) -> None:
    raw = orjson.dumps(_planted(document, secret, way))
    if escaped:
        raw = raw.replace(b"4", b"\\u0034", 1).replace(b"@", b"\\u0040") if b"4" not in raw[:1] else raw
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return  # a digit of a number was escaped: no JSON any more
    outcome = MASKER.json(raw)
    assert outcome.changed
    assert secret not in orjson.dumps(orjson.loads(outcome.body)).decode()


@settings(max_examples=150)
@given(DOCUMENTS)
def test_a_document_without_hits_comes_back_equal(document: Any) -> None:
    raw = orjson.dumps({"d": document})
    outcome = MASKER.json(raw)
    if not outcome.hits:
        assert outcome.body is raw
    assert outcome.changed == bool(outcome.hits)


@settings(max_examples=300)
@given(JSON_TEXT)
def test_no_text_breaks_the_engine(text: str) -> None:
    once = MASKER.text(text)
    assert isinstance(once, str)
    assert isinstance(MASKER.for_approver({"a": text}), dict)
    try:
        outcome = MASKER.json(text.encode())
    except MaskingFailed:
        return
    assert outcome.changed or outcome.body == text.encode()


@settings(max_examples=300)
@given(st.text(alphabet="0123456789 -.@abDE+()=:", max_size=60))
def test_the_search_before_parsing_misses_nothing(text: str) -> None:
    raw = orjson.dumps([text])
    if detect([text], DETECTORS):
        assert MASKER.json(raw).changed


class CountedText(bytes):
    """Bytes that count how many characters detectors cut out of them."""

    cut = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        CountedText.cut += len(part) if isinstance(part, bytes) else 1
        return part


def test_work_on_hostile_text_grows_with_its_size() -> None:
    hostile = {
        "credit_card": b"4 1 1 1 ",
        "iban": b"DE89 3704 ",
        "us_ssn": b"666-45-6789 ",
        "phone": b"+1 (23 0123 45 ",
        "private_key": b"-----BEGIN PRIVATE KEY-----",
        "password_assignment": b'password="',
        "api_key": b"api_key=",
        "bearer_token": b"Bearer abcdefgh eyJhbGci.a.",
        "connection_string": b"a=b;Server=x ;password=y mysql://a:b",
        "secret": b"token=basic YTpi authorization: ",
        "national_id": b"811228-9875 PESEL 4405140135 national id: 1",
        "date_of_birth": b"DOB: 45/12/ born on ",
        "ip_address": b"1.2.3.4.5.6 fe80::1:2:3:4:5:6:7:8:9 ",
    }
    for name, unit in hostile.items():
        work = []
        for times in (200, 800):
            CountedText.cut = 0
            assert sum(1 for _ in BY_NAME[name].find(CountedText(unit * times))) >= 0
            work.append(CountedText.cut)
        assert work[1] <= 5 * work[0] + 20_000, name


def test_the_package_imports_no_framework_and_does_no_io() -> None:
    allowed = set(sys.stdlib_module_names) - {"socket", "subprocess", "os", "pathlib", "threading", "asyncio"}
    for file in Path(masking.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in allowed | {"masking", "re2", "orjson"}, f"{file.name}: {name}"
