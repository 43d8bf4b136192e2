"""Floors under what detectors find of the labelled corpus, and under how much of what they hide is what they look for.

`python -m benchmarks --only recall` prints the figures. A floor is raised when a figure is; it is lowered only with a
word in docs/masking.md.
"""

import pytest

from benchmarks.labelled import EACH, SHAPES, Item, items
from benchmarks.labelled_values import KINDS
from benchmarks.recall import Score, ours, scored
from masking.detectors import DETECTORS

# Recall and precision of each detector.
FLOORS = {
    "api_key": (1.0, 1.0),
    "bearer_token": (1.0, 1.0),
    "connection_string": (1.0, 1.0),
    "credit_card": (1.0, 1.0),
    "date_of_birth": (1.0, 1.0),
    "email": (1.0, 0.99),
    "iban": (1.0, 1.0),
    "ip_address": (1.0, 0.97),
    "national_id": (1.0, 0.98),
    "password_assignment": (1.0, 0.98),
    "phone": (1.0, 1.0),
    "private_key": (1.0, 1.0),
    "secret": (1.0, 1.0),
    "us_ssn": (1.0, 1.0),
}


@pytest.fixture(scope="module")
def corpus() -> list[Item]:
    return list(items())


def test_the_corpus_has_every_kind_in_every_shape(corpus: list[Item]) -> None:
    values = [item for item in corpus if not item.near]
    assert len(values) >= 2000
    assert len(corpus) - len(values) >= 2000
    assert KINDS.keys() == DETECTORS
    assert {(item.kind, item.shape) for item in values} == {(kind, shape) for kind in KINDS for shape in SHAPES}


def test_the_corpus_is_the_same_in_every_run(corpus: list[Item]) -> None:
    assert list(items()) == corpus
    assert all(item.planted in item.text for item in corpus)


def test_recall_and_precision_stay_above_their_floors(corpus: list[Item]) -> None:
    scores = scored(corpus, ours(corpus))
    assert FLOORS.keys() == scores.keys()
    for kind, (recall, precision) in FLOORS.items():
        assert scores[kind].recall >= recall, (kind, str(scores[kind]))
        assert scores[kind].precision >= precision, (kind, str(scores[kind]))


def test_a_score_is_shares_of_what_was_hidden() -> None:
    assert Score(found=9, values=10, wrong=3, near=10).recall == pytest.approx(0.9)
    assert Score(found=9, values=10, wrong=3, near=10).precision == pytest.approx(0.75)
    assert EACH * len(KINDS) >= 2000
