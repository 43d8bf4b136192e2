"""What an approver has before them, as one digest.

The form of a decision carries it, the vote keeps it, and the record's entry of the vote names it. So a decision counts
only for what was shown, and it can be proved later what that was.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from approvals import keys

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest

# Of what is shown and how it is written down here. Another number makes every form that is open now out of date.
VIEW = 1
_SHOWN = (
    "id",
    "connection",
    "method",
    "tool",
    "arguments",
    "reason",
    "requester_iss",
    "requester_sub",
    "requester_kind",
    "requester_display",
    "requester_person",
    "requester_run",
    "rule",
    "policy_revision",
    "terms",
)


def view_digest(request: ApprovalRequest) -> str:
    """Return the keyed digest, in hex, of everything about a request that an approver is shown and that is asked for.

    It moves when any of that does: when somebody widens who may decide, or the arguments are erased. Votes and the
    status are not in it; for these there is the version.
    """
    shown = {name: getattr(request, name) for name in _SHOWN}
    shown["until"] = request.expires_at.isoformat()
    return keys.keyed_digest("view", str(VIEW), json.dumps(shown, sort_keys=True, separators=(",", ":")))
