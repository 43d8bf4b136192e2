"""Every answer of the corpus."""

from __future__ import annotations

from tests.corpus import answer_framing, answer_messages
from tests.corpus.answer_case import Case

CASES: tuple[Case, ...] = (*answer_messages.cases(), *answer_framing.cases())
