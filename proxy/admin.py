"""The admin of agents: who they are, whether they are connected, how their servers fare; and their revocation."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals.admin import ReadOnly
from approvals.models import Person
from approvals.runtime import runtime
from proxy.models import Agent
from proxy.tunnel import registry
from sessions.journal import RecordUnavailable


@admin.register(Agent)
class AgentAdmin(ReadOnly):
    """Agents in other networks. Tokens are made by `manage.py agents`, and shown nowhere."""

    list_display = ("name", "state", "build", "connected_at", "may_serve", "servers")
    search_fields = ("name",)
    ordering = ("name",)
    fields = (*list_display, "made_at", "rotated_at", "revoked_at", "seen_at")
    actions = ("revoke",)

    @admin.display(description="State")
    def state(self, obj: Agent) -> str:
        """Say in a word whether it is there."""
        return registry.state_of(obj)

    @admin.display(description="May serve")
    def may_serve(self, obj: Agent) -> str:
        """Name the connections of its token."""
        return ", ".join(obj.connections)

    @admin.display(description="Its servers")
    def servers(self, obj: Agent) -> str:
        """Say how each server fares, as the agent last told."""
        return ", ".join(f"{name}: {state}" for name, state in registry.servers_of(obj)) or "-"

    @admin.action(description="Revoke", permissions=["view"])
    def revoke(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        """End tokens and sockets."""
        by = request.user.key if isinstance(request.user, Person) else ""
        try:
            for agent in agents.filter(revoked_at=None):
                registry.revoke(runtime(), agent.name, by=by)
                messages.success(request, f"{agent} is revoked.")
        except (registry.NoSuchAgent, RecordUnavailable) as error:
            messages.error(request, f"Not everything was revoked. {error}")
