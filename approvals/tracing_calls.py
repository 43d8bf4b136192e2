"""What a page adds to recorded calls: which rules spoke and on what, and what an approver had before them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from approvals.config.document import parse_document
from approvals.config.loader import ConfigError
from approvals.legible import whole
from approvals.models import ApprovalRequest, PolicyRevision
from approvals.pages.timeline import CallLine, Seen, is_judged
from approvals.seen import view_digest
from approvals.tried import try_recorded
from sessions.retention import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.schema import Config

# More on one page would keep its reader waiting; each call has a page of its own that says why.
MOST_TRACED: Final = 40


def config_of(revision: int) -> Config | None:
    """Return the configuration of a revision; None where it cannot be read any more."""
    row = PolicyRevision.objects.filter(number=revision).first()
    try:
        return parse_document(row.document) if row is not None else None
    except ConfigError:
        return None


def add_traces(lines: Sequence[CallLine], *, shows_values: bool) -> None:
    """Give the first calls that rules decided on what the rules of then make of them."""
    read = lru_cache(maxsize=8)(config_of)
    judged = [line for line in lines if line.call_id and is_judged(line.steps[0].entry)]
    for line in judged[:MOST_TRACED]:
        config = read(line.steps[0].entry.leaf.revision)
        if config is not None:
            line.trace = try_recorded(config, line.call_id, shows_values=shows_values)


def add_what_was_seen(lines: Sequence[CallLine], *, sees_payloads: bool) -> None:
    """Give each vote what its approver had before them: its digest, and the arguments where they are the same still."""
    ids = {line.approval for line in lines if line.approval}
    requests = ApprovalRequest.objects.in_bulk(list(ids))
    for line in lines:
        request = requests.get(line.approval)
        digest = "" if request is None else view_digest(request)
        for at, step in enumerate(line.steps):
            if view := step.facts.get("view"):
                line.steps[at] = replace(step, seen=_seen(str(view), request, digest, sees_payloads=sees_payloads))


def add_erasures(lines: Sequence[CallLine]) -> None:
    """Give each payload that is gone the entry that says that it was erased."""
    gone = [bytes.fromhex(one.digest) for line in lines for step in line.steps for one in step.missing]
    told = reasons(gone) if gone else {}
    for line in lines:
        for at, step in enumerate(line.steps):
            if step.missing:
                missing = tuple(replace(one, erasure=told.get(bytes.fromhex(one.digest))) for one in step.missing)
                line.steps[at] = replace(step, missing=missing)


def _seen(view: str, request: ApprovalRequest | None, digest: str, *, sees_payloads: bool) -> Seen:
    if request is None or view != digest:
        return Seen(view)
    return Seen(view, whole(request.arguments) if sees_payloads else (), is_same=True)
