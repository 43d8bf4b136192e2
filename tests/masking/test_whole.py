"""What holds of masking as a whole: it can be repeated, its parts are those of the whole, and it gives JSON."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.masking.escapings import CODED, FOLDED
from tests.masking.test_evasions import MASKER, SECRETS
from tests.masking.test_properties import DOCUMENTS

WRITTEN = st.builds(
    lambda secret, letters, code: CODED[code](FOLDED[letters](secret)),
    st.sampled_from(SECRETS),
    st.sampled_from(sorted(FOLDED)),
    st.sampled_from(sorted(CODED)),
)


def masked(value: Any) -> Any:
    return orjson.loads(MASKER.json(orjson.dumps(value)).body)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, WRITTEN, st.sampled_from(["text", "ssn", "note", "a b"]))
def test_masking_again_changes_nothing(document: Any, text: str, key: str) -> None:
    once = MASKER.json(orjson.dumps({"d": document, key: text, "list": [text, [text]], text: 1}))
    assert once.hits
    again = MASKER.json(once.body)
    assert orjson.loads(again.body) == orjson.loads(once.body)


@settings(max_examples=150, deadline=None)
@given(st.lists(DOCUMENTS | WRITTEN, max_size=5))
def test_a_list_is_masked_like_its_elements(documents: list[Any]) -> None:
    assert masked(documents) == [masked(document) for document in documents]
