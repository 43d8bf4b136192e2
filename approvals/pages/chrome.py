"""What every page shows around its content.

Who is signed in, which roles they have, what time the server has, and whether the proof of the record needs a look.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from approvals.models import Person
from approvals.pages.proof_alarms import READERS, proof_alarms
from approvals.runtime import runtime
from approvals.standing import caller_of, roles_of


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the frame; `roles` is None for nobody, and a set, maybe empty, for a person."""
    user = getattr(request, "user", None)
    context: dict[str, Any] = {"server_now": int(time.time() * 1000), "demo": settings.DEMO, "roles": None}
    if isinstance(user, Person):
        policy = runtime().policies.current.policy
        context["roles"] = roles = roles_of(caller_of(user, policy), policy)
        context["proof_alarms"] = proof_alarms() if roles & READERS else []
    return context
