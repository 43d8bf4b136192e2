"""What masking makes of two thousand documents, pinned: work on its speed must not change a byte or lose a hit.

A digest is of one seed's documents under one set of rules. Where a change of meaning is wanted, look at what it
changes (run the corpus before and after), then write the new digests down:
`python -m tests.masking.test_same_results`.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from masking.detectors import DETECTORS
from masking.engine import Engine, Masker, MaskingFailed
from masking.rules import MaskingRule
from tests.masking_corpus import LITERAL, Corpus

SEEDS, DOCUMENTS = 20, 100


def _masker(*rules: MaskingRule) -> Masker:
    return Engine(rules, hash_key=b"k" * 32).masker("c", None)


_ALL = MaskingRule(name="all", detectors=tuple(sorted(DETECTORS)))
_COLUMNS = ("ssn", "**.salary", "geburtsort", "rows[*][1]")
MASKERS: tuple[tuple[Masker, dict[str, Any]], ...] = (
    (_masker(_ALL), {}),
    (
        _masker(_ALL, MaskingRule(name="f", fields=_COLUMNS, replace="remove")),
        {"literals": (LITERAL,), "required": frozenset({"ssn"})},
    ),
    (
        _masker(
            MaskingRule(name="p", detectors=("credit_card", "email", "us_ssn", "api_key"), replace="partial"),
            MaskingRule(name="r", detectors=("phone", "iban"), replace="remove"),
            MaskingRule(name="h", detectors=("password_assignment",), fields=("ssn", "data.*"), replace="hash"),
        ),
        {},
    ),
)
PINNED = (
    *("8b552efc59484846", "343002fa7762f4c6", "5449e3db1c0a84cd", "f240577d48f8e559", "145ce55f051fd923"),
    *("038b527c3faf931b", "9bc64405200afa51", "7a2f9c160cf8267d", "6b56bfcc56ea64b2", "e17dce06b6ec7f4e"),
    *("b285999c137498eb", "7f9eb2b56af3302e", "1cf8d76239ed5665", "27dbb90e7d1d0d03", "11d408c10253095b"),
    *("f073a78ac7baf444", "7e53f53bf23a914f", "521687b094de5034", "0a860249b85f4440", "1e17db388a3136f1"),
)


def _outcomes(seed: int) -> Iterator[bytes]:
    corpus = Corpus(seed)
    for document in corpus.documents(DOCUMENTS):
        for masker, options in MASKERS:
            try:
                outcome = masker.json(document, **options)
            except MaskingFailed:
                yield b"withheld"
                continue
            yield outcome.body
            yield repr((sorted(outcome.hits.items()), outcome.changed)).encode()
        value, text = corpus.value(2), corpus.text()
        for masker, options in MASKERS:
            literals = options.get("literals", ())
            shown = [masker.value(value, literals=literals), masker.for_approver(value, literals=literals)]
            yield orjson.dumps([*shown, masker.text(text, literals=literals)])


def _digest(seed: int) -> str:
    digest = hashlib.sha256()
    for outcome in _outcomes(seed):
        digest.update(b"%d:" % len(outcome))
        digest.update(outcome)
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_masking_gives_what_it_always_gave(seed: int) -> None:
    assert _digest(seed) == PINNED[seed]


def test_the_corpus_makes_every_detector_find_something() -> None:
    found: set[str] = set()
    for document in Corpus(0).documents(DOCUMENTS):
        try:
            found |= MASKERS[1][0].json(document, literals=(LITERAL,)).hits.keys()
        except MaskingFailed:
            continue
    assert {*DETECTORS, "ssn", "salary", "credential"} <= found


if __name__ == "__main__":
    print(*map(_digest, range(SEEDS)))  # noqa: T201
