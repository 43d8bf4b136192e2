"""What Django's own machinery asks about a person: who they are, and whether they may enter the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

from approvals.models import Person
from approvals.runtime import runtime
from approvals.standing import caller_of, roles_of


class PersonBackend(BaseBackend):
    """Rights come from the roles of the current policy alone; nothing is stored with the person."""

    def get_user(self, user_id: Any) -> Person | None:
        """Return an active person by id; a deactivated one is signed out by this at their next request.

        Asked once for every request of a browser: from here on it is judged by the newest policy, also when another
        process published it.
        """
        runtime().policies.reload()
        return Person.objects.filter(pk=user_id, is_active=True).first()

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Say yes to the admins of the current policy.

        What no admin may do, the admin pages refuse themselves.
        """
        if not isinstance(user_obj, Person) or not user_obj.is_active:
            return False
        policy = runtime().policies.current.policy
        return "admin" in roles_of(caller_of(user_obj, policy), policy)
