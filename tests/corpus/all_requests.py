"""Every request of the corpus."""

from __future__ import annotations

from tests.corpus import request_fields, request_framing, request_json, request_messages
from tests.corpus.request_case import Case

CASES: tuple[Case, ...] = (
    *request_json.cases(),
    *request_messages.cases(),
    *request_fields.cases(),
    *request_framing.cases(),
)
