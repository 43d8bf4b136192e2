"""The comment that somebody was writing when they were sent to sign in again: it waits in their session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

    from approvals.publication import Snapshot

KEPT_IN = "holdgate_unsent"
MAX_COMMENT = 4000
AT_MOST = 5


def keep(session: SessionBase, approval_id: str, connection: str, comment: str, snapshot: Snapshot) -> None:
    """Keep a comment, masked as the connection has it: a session is written down too. The oldest of six goes."""
    kept = {key: text for key, text in session.get(KEPT_IN, {}).items() if key != approval_id}
    kept[approval_id] = snapshot.outlet(connection).text(comment)[:MAX_COMMENT]
    session[KEPT_IN] = dict(list(kept.items())[-AT_MOST:])


def kept(session: SessionBase, approval_id: str) -> str:
    """Return the comment; empty when there is none."""
    return str(session.get(KEPT_IN, {}).get(approval_id, ""))


def forget(session: SessionBase, approval_id: str) -> None:
    """Forget the comment: it was sent."""
    if approval_id in session.get(KEPT_IN, {}):
        session[KEPT_IN] = {key: text for key, text in session[KEPT_IN].items() if key != approval_id}
