"""How much of a labelled corpus masking finds, and how much that is near it: recall and precision of each detector.

Presidio's pattern recognisers look at the same texts in the same run.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.child import ROOT
from benchmarks.labelled import PLAIN, Item, items
from benchmarks.peers import NotHere, environment
from benchmarks.report import Figure
from masking.detectors import BY_NAME
from masking.engine import Engine, Masker
from masking.rules import MaskingRule

PRESIDIO: Final = "presidio-analyzer==2.2.366"
_PEER_SECONDS: Final = 600
_LEAST_PIECE: Final = 4


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of one kind: values hidden and all values, near misses hidden and all near misses."""

    found: int
    values: int
    wrong: int
    near: int

    @property
    def recall(self) -> float:
        """The share of values that were hidden whole."""
        return self.found / self.values if self.values else 0.0

    @property
    def precision(self) -> float:
        """The share of values among all that was hidden."""
        return self.found / (self.found + self.wrong) if self.found else 0.0

    def __str__(self) -> str:
        return f"recall {self.recall:.3f}, precision {self.precision:.3f}"


def scored(corpus: Iterable[Item], hidden: Sequence[bool]) -> dict[str, Score]:
    """Return the score of each kind, from whether each item was hidden."""
    counts: Counter[tuple[str, bool, bool]] = Counter()
    for item, one in zip(corpus, hidden, strict=True):
        counts[item.kind, item.near, one] += 1
    return {
        kind: Score(
            counts[kind, False, True],
            counts[kind, False, True] + counts[kind, False, False],
            counts[kind, True, True],
            counts[kind, True, True] + counts[kind, True, False],
        )
        for kind in sorted({kind for kind, _, _ in counts})
    }


def ours(corpus: Iterable[Item]) -> list[bool]:
    """Return of each item whether a rule of its detector alone hides it: a value whole, of a near miss anything."""
    maskers: dict[str, Masker] = {}
    hidden = []
    for item in corpus:
        if item.kind not in maskers:
            rule = MaskingRule(name=item.kind, detectors=(item.kind,))
            maskers[item.kind] = Engine([rule], hash_key=b"k" * 32).masker("c", None)
        masked = maskers[item.kind].json(item.document)
        hidden.append(bool(masked.hits) and (item.near or not survives(item.planted, masked.body.decode())))
    return hidden


def survives(planted: str, text: str) -> bool:
    """Say whether either half of a value is still in a text, as it was planted or escaped once more."""
    middle = len(planted) // 2
    halves = [half for half in (planted[:middle], planted[middle:]) if len(half) >= _LEAST_PIECE] or [planted]
    return any(half in text or half.replace("\\", "\\\\") in text for half in halves)


def recall(*, install: bool) -> list[Figure]:
    """Measure the detectors over the corpus, and beside them what a peer finds; `install` puts it there if need be."""
    corpus = list(items())
    scores = scored(corpus, ours(corpus))
    try:
        beside, how = _presidio(corpus, install)
    except NotHere as why:
        beside, how = {}, f"not measured: {why}"
    figures = [
        Figure("recall", kind, f"{score}; Presidio {beside.get(kind, 'has none') if beside else 'not measured'}")
        for kind, score in scores.items()
    ]
    total = f"{sum(s.values for s in scores.values()):,} values, {sum(s.near for s in scores.values()):,} near misses"
    return [
        *figures,
        Figure("recall", "in all", total, ">= 2,000"),
        Figure("recall", PRESIDIO, how),
        Figure("recall", "finds in Python's own library", _unlabelled()),
    ]


def _unlabelled() -> str:
    """Count what each detector finds in text that nobody wrote for it: the modules of the standard library."""
    files = sorted(Path(json.__file__).parents[1].glob("*.py"))
    texts = [file.read_bytes().decode("utf-8", "replace").encode() for file in files]
    finds = {name: sum(sum(1 for _ in one.find(text)) for text in texts) for name, one in sorted(BY_NAME.items())}
    return f"{sum(map(len, texts)) / 1e6:.1f} MB: " + ", ".join(f"{name} {count}" for name, count in finds.items())


def _presidio(corpus: Sequence[Item], install: bool) -> tuple[dict[str, str], str]:
    """Return for each kind how Presidio's pattern recognisers score over the same texts, and what was measured.

    Raises NotHere when it is not installed, or fails.
    """
    python = environment(PRESIDIO, install)
    asked = [(item.kind, item.near, item.text, item.planted) for item in corpus]
    command = [str(python), str(ROOT / "benchmarks" / "peer_presidio.py")]
    try:
        run = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, timeout=_PEER_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise NotHere(f"it failed: {error.stderr.strip()[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"it did not answer within {_PEER_SECONDS} s") from error
    told = json.loads(run.stdout)
    found = scored(corpus, told["answers"])
    pairs = [(item, one) for item, one in zip(corpus, told["answers"], strict=True) if item.shape in PLAIN]
    plain = scored([item for item, _ in pairs], [one for _, one in pairs])
    size = sum(len(item.text) for item in corpus) / 1e6
    how = f"{told['recognisers']} recognisers, {size / told['seconds']:.2f} MB/s; in brackets as prose, line and log"
    shown = {
        kind: f"recall {found[kind].recall:.3f} ({plain[kind].recall:.3f}), precision {found[kind].precision:.3f}"
        for kind in told["kinds"]
    }
    return shown, how
