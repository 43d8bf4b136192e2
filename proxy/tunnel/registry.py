"""Which agents there are: their tokens, of which only digests are kept, and where each is connected.

Every change is one transaction with its entry in the record. Called in threads; an agent's socket looks at its row
again and again, so that a revocation ends it wherever it is.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from approvals import keys
from approvals.database import database_now
from proxy.models import Agent
from sessions.events import Event

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.runtime import Runtime
    from sessions.events import Fact

PREFIX = "hga_"
# How long the token before stays good when the new one is not used.
OVERLAP = timedelta(hours=24)
# Who was not seen for so long is not connected; its process renews it every RENEW_SECONDS.
GONE = timedelta(seconds=20)
RENEW_SECONDS = 5.0


class NoSuchAgent(Exception):
    """There is no such agent, or there is one already; the message says which."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An agent whose token was shown: its name and what it may serve."""

    name: str
    connections: frozenset[str]


def digest(token: str) -> str:
    """Return what is kept of a token. It has 256 random bits, so that no slow digest is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make(runtime: Runtime, name: str, connections: Iterable[str], *, by: str) -> str:
    """Make an agent and return its token, which is never to be had again. Raises NoSuchAgent, RecordUnavailable."""
    token, scope = PREFIX + secrets.token_urlsafe(32), sorted(set(connections))

    def change() -> tuple[None, Sequence[Event]]:
        before = Agent.objects.filter(pk=name).first()
        if before is not None and before.revoked_at is None:
            raise NoSuchAgent(f"there is an agent {name} already: rotate its token, or revoke it first")
        epoch = before.epoch if before is not None else 0
        Agent(name=name, connections=scope, token=digest(token), made_at=database_now(), epoch=epoch).save()
        return None, [_entry(runtime, "agent.made", name, by, connections=scope)]

    runtime.journal.transact_now(change)
    return token


def rotate(runtime: Runtime, name: str, *, by: str) -> str:
    """Give an agent a new token and return it. The one before is good until that is first used, or a day.

    Raises NoSuchAgent, RecordUnavailable.
    """
    token = PREFIX + secrets.token_urlsafe(32)

    def change(agent: Agent) -> None:
        now = database_now()
        agent.token_before, agent.token_before_until = agent.token, now + OVERLAP
        agent.token, agent.rotated_at = digest(token), now

    _change(runtime, name, "agent.rotated", by, change)
    return token


def allow(runtime: Runtime, name: str, connections: Iterable[str], *, by: str) -> None:
    """Say anew which connections an agent may serve. Raises NoSuchAgent, RecordUnavailable."""
    scope = sorted(set(connections))

    def change(agent: Agent) -> None:
        agent.connections = scope

    _change(runtime, name, "agent.allowed", by, change, connections=scope)


def revoke(runtime: Runtime, name: str, *, by: str) -> None:
    """End an agent's token and its socket: at once here, within a second elsewhere.

    Raises NoSuchAgent, RecordUnavailable.
    """

    def change(agent: Agent) -> None:
        agent.revoked_at, agent.token_before, agent.token_before_until = database_now(), "", None

    _change(runtime, name, "agent.revoked", by, change)


def _change(runtime: Runtime, name: str, kind: str, by: str, change: Callable[[Agent], None], **facts: Fact) -> None:
    def work() -> tuple[None, Sequence[Event]]:
        agent = Agent.objects.filter(pk=name, revoked_at=None).first()
        if agent is None:
            raise NoSuchAgent(f"there is no agent {name}, or it is revoked")
        change(agent)
        agent.save()
        return None, [_entry(runtime, kind, name, by, **facts)]

    runtime.journal.transact_now(work)


def admitted(token: str) -> Admitted | None:
    """Return the agent of a token, None where there is none. A new token that is shown ends the one before."""
    if not token.startswith(PREFIX):
        return None
    shown, now = digest(token), database_now()
    known = Q(token=shown) | Q(token_before=shown, token_before_until__gt=now)
    agent = Agent.objects.filter(known, revoked_at=None).first()
    if agent is None:
        return None
    if agent.token_before and agent.token == shown:
        Agent.objects.filter(pk=agent.pk, token=shown).update(token_before="", token_before_until=None)
    return Admitted(agent.name, frozenset(agent.connections))


def connect(
    runtime: Runtime, name: str, *, build: str, serves: Sequence[str], address: str
) -> tuple[int, Event] | None:
    """Take an agent's newest socket for this process; return its epoch and the entry to be written with it.

    None when it was revoked meanwhile. Runs in the writer's transaction.
    """
    agent = Agent.objects.filter(pk=name, revoked_at=None).first()
    if agent is None:
        return None
    now = database_now()
    agent.epoch += 1
    agent.process, agent.address, agent.connected_at, agent.seen_at = runtime.journal.process_id, address, now, now
    agent.build, agent.serves, agent.health = build, list(serves), {}
    agent.save()
    return agent.epoch, _entry(runtime, "agent.connected", name, "", serves=list(serves), epoch=agent.epoch)


def disconnect(runtime: Runtime, name: str, epoch: int, why: str) -> Event:
    """Note that a socket is gone, unless a newer one has its place; return the entry. In the writer's transaction."""
    Agent.objects.filter(pk=name, epoch=epoch).update(process="", address="", seen_at=None)
    return _entry(runtime, "agent.disconnected", name, "", epoch=epoch, why=why)


def renew(epochs: dict[str, int], health: dict[str, Any]) -> dict[str, Admitted]:
    """Say that this process still has these sockets; return those agents that may go on, with what they may serve."""
    now = database_now()
    found = {}
    for agent in Agent.objects.filter(pk__in=epochs, revoked_at=None):
        if agent.epoch == epochs[agent.name]:
            found[agent.name] = Admitted(agent.name, frozenset(agent.connections))
            if agent.seen_at is None or (now - agent.seen_at).total_seconds() > RENEW_SECONDS or health.get(agent.name):
                changed = {"seen_at": now} | ({"health": health[agent.name]} if health.get(agent.name) else {})
                Agent.objects.filter(pk=agent.pk, epoch=agent.epoch).update(**changed)
    return found


def is_revoked(name: str) -> bool:
    """Say whether an agent is revoked, or was never made."""
    return not Agent.objects.filter(pk=name, revoked_at=None).exists()


def route(name: str) -> str:
    """Return where the process is reached that has an agent's socket; empty where there is none, or no way to it."""
    agent = Agent.objects.filter(pk=name).first()
    return agent.address if agent is not None and is_connected(agent) else ""


def is_connected(agent: Agent) -> bool:
    """Say whether some process has the agent's socket."""
    return agent.revoked_at is None and agent.seen_at is not None and database_now() - agent.seen_at < GONE


def state_of(agent: Agent) -> str:
    """Say in a word whether an agent is there."""
    return "revoked" if agent.revoked_at else "connected" if is_connected(agent) else "away"


def servers_of(agent: Agent) -> list[tuple[str, str]]:
    """Return each server of an agent that is there, and in words how it fares."""
    if not is_connected(agent):
        return []
    told = ((name, one if isinstance(one, dict) else {}) for name, one in sorted(agent.health.items()))
    return [(name, _state(one)) for name, one in told]


def _state(told: dict[str, Any]) -> str:
    state, fault = str(told.get("state", ""))[:20], str(told.get("fault", ""))[:40]
    return f"{state} ({fault})" if fault else state


def problems(config: Config) -> list[str]:
    """Return one sentence for each agent of these connections that is away, and each of its servers that fails."""
    names = {one.agent for one in config.connections.values() if one.agent is not None}
    known = Agent.objects.in_bulk(sorted(names)) if names else {}
    found = []
    for name in sorted(names):
        agent = known.get(name)
        if agent is None or not is_connected(agent):
            state = "is not made yet" if agent is None else "is revoked" if agent.revoked_at else "is not connected"
            found.append(f"the agent {name} {state}")
            continue
        failing = [(server, state) for server, state in servers_of(agent) if state.startswith("failing")]
        found += [f"{server} fails behind the agent {name}: {state}" for server, state in failing]
    return found


def _entry(runtime: Runtime, kind: str, name: str, by: str, **facts: Fact) -> Event:
    snapshot = runtime.policies.current
    return Event(
        kind=kind,
        actor=keys.actor(by) if by else "",
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"agent": name, **facts},
    )
