"""The leaf format is published: these bytes must never change."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions import leaf as leaves

LEAF = leaves.Leaf(
    origin="holdgate-test",
    kind="call.intent",
    ts="2026-11-20T12:00:00.000001Z",
    writer="0199-w",
    n=7,
    build="1.0+abc",
    revision=3,
    digest="aa" * 4,
    call="c-1",
    session="s-1",
    connection="git",
    method="tools/call",
    tool='übung\n"x"',
    actor="ff00",
    facts={"verdict": "allow", "rules": ["b", "a"], "status": -5, "executed": None, "first": True},
    payloads={"request": leaves.Commitment(digest="0f" * 32, length=12)},
)
GOLDEN = (
    '{"actor":"ff00","build":"1.0+abc","call":"c-1","connection":"git","facts":{"executed":null,"first":true,'
    '"rules":["b","a"],"status":-5,"verdict":"allow"},"kind":"call.intent","method":"tools/call","n":7,'
    '"origin":"holdgate-test","payloads":{"request":{"c":"' + "0f" * 32 + '","len":12}},'
    '"policy":{"digest":"aaaaaaaa","revision":3},"session":"s-1","tool":"übung\\n\\"x\\"",'
    '"ts":"2026-11-20T12:00:00.000001Z","v":1,"writer":"0199-w"}'
).encode()

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def test_leaf_format_v1_is_pinned_byte_for_byte() -> None:
    assert leaves.encode(LEAF) == GOLDEN
    assert leaves.decode(GOLDEN) == LEAF
    assert leaves.leaf_hash(GOLDEN).hex() == hashlib.sha256(b"\x00" + GOLDEN).hexdigest()


def test_a_commitment_is_salted_and_has_its_own_domain() -> None:
    salt = bytes(range(32))
    assert leaves.commit(salt, b"body") == hashlib.sha256(b"holdgate-payload-v1\x00" + salt + b"body").hexdigest()
    with pytest.raises(leaves.LeafInvalid):
        leaves.commit(b"short", b"body")


@given(
    TEXT,
    st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), TEXT | st.booleans() | st.none()),
)
def test_any_leaf_is_plain_canonical_json_and_reads_back(tool: str, facts: dict[str, str | bool | None]) -> None:
    leaf = LEAF._replace(tool=tool, facts=facts)
    data = leaves.encode(leaf)
    plain = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert data == plain.encode()
    assert leaves.decode(data) == leaf


@pytest.mark.parametrize(
    "facts",
    [
        {"amount": 1.5},
        {"big": 2**53},
        {"Größe": 1},
        {"nested": {"a": 1}},
        {"mixed": ["a", 1]},
        {"nul": "a\x00b"},
        {"surrogate": "\ud800"},
        {"raw": b"bytes"},
    ],
)
def test_a_fact_that_the_format_cannot_hold_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(leaves.LeafInvalid):
        leaves.encode(LEAF._replace(facts=facts))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"n":7', b'"n":7.0'),
        (b'"n":7', b'"n":-7'),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":true'),
        (b'"call":"c-1",', b""),
        (b'"call":"c-1",', b'"call":"c-1","call":"c-1",'),
        (b'{"actor"', b'{ "actor"'),
        (b'"len":12', b'"len":"12"'),
        (b".000001Z", b".000001+00:00"),
        (b"2026-11-20", b"2026-02-30"),
        ("ü".encode(), b"\\u00fc"),
    ],
)
def test_bytes_that_the_encoder_would_not_write_are_no_leaf(old: bytes, new: bytes) -> None:
    assert old in GOLDEN
    with pytest.raises(leaves.LeafInvalid):
        leaves.moment(leaves.decode(GOLDEN.replace(old, new)).ts)


def test_a_leaf_too_large_is_refused() -> None:
    with pytest.raises(leaves.LeafInvalid):
        leaves.encode(LEAF._replace(facts={"text": "x" * leaves.MAX_LEAF_BYTES}))


def test_a_moment_survives_its_spelling() -> None:
    moment = datetime(2026, 11, 20, 12, 0, 0, 1, tzinfo=UTC)
    assert leaves.timestamp(moment) == LEAF.ts
    assert leaves.moment(LEAF.ts) == moment
