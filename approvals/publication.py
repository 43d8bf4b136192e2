"""The policy in force: immutable compiled revisions, and `publish`, the only door by which one comes into force."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection

from approvals import outlet as outlets
from approvals.config.document import diff, document, document_digest, parse_document
from approvals.database import database_now, in_database
from approvals.keys import actor, derive
from approvals.models import PolicyRevision
from approvals.policy import Policy
from masking.engine import Engine
from masking.rules import MaskingRule
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from approvals.config.document import Change
    from approvals.config.schema import Config
    from approvals.outlet import Outlet
    from sessions.journal import Journal


class RevisionConflict(Exception):
    """Somebody else published since the revision that the caller had read."""

    def __init__(self, current: int) -> None:
        super().__init__(f"The policy is at revision {current} by now; read it again and repeat your change.")
        self.current = current


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One published revision, compiled: the policy and the masking that go with it."""

    policy: Policy
    engine: Engine

    @property
    def revision(self) -> int:
        return self.policy.revision

    @property
    def digest(self) -> str:
        return self.policy.digest

    def outlet(
        self, connection_name: str, groups: frozenset[str] | None = None, literals: tuple[str, ...] = ()
    ) -> Outlet:
        """Return the masking outlet of one connection for callers in these groups (None: for nobody special).

        `literals` are secrets to hide wherever they appear.
        """
        return outlets.outlet(self.engine, connection_name, groups, literals)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did: the revision in force now, and what differs from the one before."""

    revision: int
    changes: tuple[Change, ...]


def compile_snapshot(config: Config, *, revision: int, digest: str) -> Snapshot:
    """Compile a configuration. Raises ConfigError when it cannot be."""
    rules = tuple(
        MaskingRule(
            name=rule.name,
            detectors=tuple(rule.detectors),
            fields=tuple(rule.fields),
            connections=tuple(rule.connections),
            replace=rule.replace,
            except_groups=frozenset(rule.except_groups),
        )
        for rule in config.masking
    )
    engine = Engine(rules, hash_key=derive("pseudonym"))
    return Snapshot(Policy.compile(config, revision=revision, digest=digest), engine)


class Policies:
    """The snapshot that this process judges by. The writer's transaction says when it is out of date."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Snapshot | None = None

    @property
    def current(self) -> Snapshot:
        """Return the snapshot in memory, read from the database at the first call."""
        return self._current or self.reload()

    def reload(self) -> Snapshot:
        """Read the newest revision and compile it if it is new. Never goes back to an older one."""
        number = revision_in_transaction()
        with self._lock:
            known = self._current
            if known is not None and known.revision >= number:
                return known
            row = PolicyRevision.objects.get(number=number) if number else None
            config = parse_document(row.document if row else None)
            self._current = compile_snapshot(config, revision=number, digest=row.digest if row else "")
            return self._current

    async def refreshed(self) -> Snapshot:
        """Reload without blocking the event loop."""
        return await in_database(self.reload)


def revision_in_transaction() -> int:
    """Read the current revision number on this thread's connection, inside the writer's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(MAX(number), 0) FROM approvals_policyrevision")
        number: int = cursor.fetchone()[0]
    return number


def publish(
    journal: Journal,
    policies: Policies,
    config: Config | Callable[[], Config],
    *,
    author: str,
    source_digest: str = "",
    expected: int | None = None,
) -> Published:
    """Bring a configuration into force and record it, in one transaction; the very next call is judged by it.

    Instead of a configuration it takes what makes one: a function that runs inside the transaction, for drafts that
    change together with it; what it raises rolls everything back.

    `author` is `iss|sub` or the name of a command. With `expected`, raises RevisionConflict when the policy moved
    since. A configuration equal to the current one makes no new revision. Raises RecordUnavailable.
    """

    def work() -> tuple[Published, Sequence[Event]]:
        current = PolicyRevision.objects.order_by("-number").first()
        number = current.number if current else 0
        if expected is not None and expected != number:
            raise RevisionConflict(number)
        wanted = config() if callable(config) else config
        changes = tuple(diff(parse_document(current.document if current else None), wanted))
        if current is not None and not changes and source_digest in {"", current.source_digest}:
            return Published(number, ()), ()
        row = PolicyRevision.objects.create(
            number=number + 1,
            document=document(wanted),
            digest=document_digest(wanted),
            author=author,
            source_digest=source_digest or (current.source_digest if current else ""),
            created_at=database_now(),
        )
        return Published(row.number, changes), (_published(row, changes, wanted, author),)

    published = journal.transact_now(work, exclusive=True)
    policies.reload()
    return published


def _published(row: PolicyRevision, changes: Sequence[Change], config: Config, author: str) -> Event:
    snapshot = compile_snapshot(config, revision=row.number, digest=row.digest)
    return Event(
        kind="policy.published",
        actor=actor(author),
        policy_revision=row.number,
        policy_digest=row.digest,
        facts={
            "source": row.source_digest,
            "changed": [f"{change.kind}/{change.name} {change.action}"[:200] for change in changes][:200],
        },
        payloads={"document": snapshot.outlet("").for_record(row.document.encode())},
    )
