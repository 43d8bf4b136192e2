"""Which server serves whom: one for each session, one for each caller without one, or one for all (`shared`)."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from proxy.errors import Fault, UpstreamUnavailable
from proxy.stdio.child import Child
from proxy.stdio.conversation import Conversation
from proxy.stdio.remote import Address, Remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.stdio.starts import Start
    from proxy.upstream import Upstream

log = logging.getLogger("holdgate.stdio")

Era = Literal["legacy", "modern"]
Key = tuple[str, str, str]  # connection, owner ("" for all), era

# After so many seconds a command that failed is tried again; each failure in a row doubles them.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Who was spoken to in this time may be about to be spoken to again.
IDLE_SECONDS = 1.0
MOST_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a server is for: a caller, in one of its runs. Both are pseudonyms; the gateway itself has none."""

    actor: str
    run: str = ""


GATEWAY = Owner("")


@dataclass(frozen=True, slots=True)
class _Session:
    connection: str
    owner: Owner
    conversation: Conversation


class Pool:
    """All servers of one runner. `complain` gets connection and line of what programs write to standard error.

    Those on the network are spoken to through `upstream`.
    """

    def __init__(self, complain: Callable[[str, str], None], upstream: Upstream) -> None:
        self._complain = complain
        self._upstream = upstream
        self._alive: dict[Conversation, Owner | None] = {}
        self._starting: Counter[str] = Counter()
        self._sessions: dict[str, _Session] = {}
        self._common: dict[Key, Conversation] = {}
        self._turns: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._trouble: dict[str, tuple[int, float]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._alive)

    async def begin(self, launch: Start, owner: Owner) -> Conversation:
        """Start a server for one session of a legacy caller. Raises Fault."""
        return await self._start(launch, owner, is_common=False)

    def open(self, conversation: Conversation, owner: Owner) -> str:
        """Return the id of a new session with this server."""
        if len(self._sessions) >= MOST_SESSIONS:
            self._drop_dead_sessions()
            if len(self._sessions) >= MOST_SESSIONS:
                raise UpstreamUnavailable("Too many sessions of stdio servers are open.")
        session = secrets.token_urlsafe(24)
        self._sessions[session] = _Session(conversation.child.launch.connection, owner, conversation)
        return session

    def find(self, session: str, launch: Start, owner: Owner) -> Conversation | None:
        """Return the server of a session; None when there is none, or it was started by another configuration."""
        found = self._sessions.get(session)
        # The run is not compared: who holds the session's id was asked for it by the gateway.
        if found is None or (found.connection, found.owner.actor) != (launch.connection, owner.actor):
            return None
        if found.conversation.is_over or found.conversation.child.launch != launch:
            self.close(session)
            return None
        return found.conversation

    def close(self, session: str) -> None:
        """End a session, and its server unless others use it."""
        found = self._sessions.pop(session, None)
        if found is not None and not found.conversation.is_common:
            self.end(found.conversation)

    async def common(self, launch: Start, owner: Owner, era: Era, *, is_shared: bool) -> Conversation:
        """Return the server of all callers, or of this one's requests without a session. Raises Fault."""
        whose = None if is_shared else owner
        key = (launch.connection, "" if whose is None else f"{whose.actor}.{whose.run}", era)
        async with self._turns[key]:
            found = self._common.get(key)
            if found is not None and not found.is_over and found.child.launch == launch:
                return found
            if found is not None:
                self.end(found)
            self._common[key] = await self._start(launch, whose, is_common=True)
            return self._common[key]

    async def _start(self, launch: Start, owner: Owner | None, *, is_common: bool) -> Conversation:
        name = launch.connection
        self._check_trouble(name)
        await self._make_room(launch, for_gateway=owner == GATEWAY)
        try:
            child = await self._child(launch)
        except Fault:
            self._failed(name)
            raise
        finally:
            self._starting[name] -= 1
        conversation = Conversation(
            child, is_common=is_common, spoke=partial(self._well, name), failed=partial(self._failed, name)
        )
        self._alive[conversation] = owner
        self._keep(asyncio.create_task(self._see_end(conversation)))
        return conversation

    async def _child(self, launch: Start) -> Child | Remote:
        if isinstance(launch, Address):
            return await Remote.start(launch, self._upstream)
        return await Child.start(launch, partial(self._complain, launch.connection))

    async def _make_room(self, launch: Start, *, for_gateway: bool) -> None:
        """See that there may be one more, and count it as starting. Raises UpstreamUnavailable.

        The gateway's own server takes nobody's place, and gives its own to whoever comes.
        """
        name, most = launch.connection, launch.limits.children
        async with self._turns[(name, "", "")]:
            while len(mine := self._of(name)) + self._starting[name] >= most:
                victim = next((one for one in mine if one.is_over), None)
                if victim is None and not for_gateway:
                    victim = next((one for one in mine if self._alive[one] == GATEWAY), None) or self._idle(mine)
                if victim is None:
                    raise UpstreamUnavailable(f"All {most} servers of this connection are in use.")
                await victim.end()
                self._alive.pop(victim, None)
            self._starting[name] += 1

    def _of(self, name: str) -> list[Conversation]:
        return [one for one in self._alive if one.child.launch.connection == name]

    def _idle(self, some: list[Conversation]) -> Conversation | None:
        """Return who may go: of whoever has most, the one that is idle for longest."""
        since = asyncio.get_running_loop().time() - IDLE_SECONDS
        owned = Counter(self._alive[one] for one in some)
        idle = [one for one in some if one.used < since and not one.is_busy]
        return min(idle, key=lambda one: (-owned[self._alive[one]], one.used), default=None)

    def _check_trouble(self, name: str) -> None:
        failures, until = self._trouble.get(name, (0, 0.0))
        if (left := until - time.monotonic()) > 0:
            message = f"The server failed to start {failures} times; it is tried again in {int(left) + 1} s."
            raise UpstreamUnavailable(message)

    def _well(self, name: str) -> None:
        self._trouble.pop(name, None)

    def _failed(self, name: str) -> None:
        failures = self._trouble.get(name, (0, 0.0))[0] + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
        # The first failure alone is let pass: it may have been the caller who left.
        self._trouble[name] = (failures, time.monotonic() + (pause if failures > 1 else 0.0))

    async def _see_end(self, conversation: Conversation) -> None:
        await conversation.child.ended.wait()
        self._alive.pop(conversation, None)
        child = conversation.child
        log.info("%s: a server ended %s", child.launch.connection, child.why)
        for key in [key for key, found in self._common.items() if found is conversation]:
            del self._common[key]
        for session in [session for session, found in self._sessions.items() if found.conversation is conversation]:
            del self._sessions[session]

    def end(self, conversation: Conversation) -> None:
        """Begin to end a server."""
        self._keep(asyncio.create_task(conversation.end()))

    def sweep(self) -> None:
        """End what was idle for longer than its connection allows."""
        now = asyncio.get_running_loop().time()
        for conversation in list(self._alive):
            idle = now - conversation.used > conversation.child.launch.limits.idle
            if idle and not conversation.is_busy and not conversation.is_over:
                self.end(conversation)
        for key in [key for key, turn in self._turns.items() if not turn.locked() and key not in self._common]:
            del self._turns[key]

    async def aclose(self) -> None:
        """End every server; return when nothing is left of any."""
        await asyncio.gather(*(conversation.end() for conversation in list(self._alive)))
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _drop_dead_sessions(self) -> None:
        for session in [session for session, found in self._sessions.items() if found.conversation.is_over]:
            del self._sessions[session]
