"""What an agent knows as a secret leaves it in no form, however the body is cut into pieces."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import known
from proxy.agent.hiding import Hiding

SECRET = 'agent/secret"Zt5Qm1'


@pytest.fixture(autouse=True, scope="module")
def _known() -> None:
    known.remember(SECRET)


def _through(body: bytes, cuts: list[int]) -> bytes:
    hiding, said, start = Hiding(), b"", 0
    for cut in sorted({min(cut, len(body)) for cut in cuts} | {len(body)}):
        said += hiding.piece(body[start:cut])
        start = cut
    return said + hiding.end()


_FORMS = (SECRET, json.dumps(SECRET)[1:-1], base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(_FORMS), st.binary(max_size=30), st.binary(max_size=30), st.lists(st.integers(0, 120), max_size=8)
)
def test_a_secret_is_hidden_however_it_is_cut(form: str, before: bytes, after: bytes, cuts: list[int]) -> None:
    said = _through(before + form.encode() + after, cuts)

    assert len(said) == len(before) + len(form) + len(after)
    assert SECRET[6:].encode() not in said
    assert said.startswith(before[: max(0, len(before) - 2)])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_all_else_passes_as_it_is(body: bytes, cuts: list[int]) -> None:
    assert _through(body, cuts) == body


def test_an_event_that_is_complete_is_not_kept_back() -> None:
    assert Hiding().piece(b"data: {}\n\n") == b"data: {}\n\n"
