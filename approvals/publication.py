"""The policy in force: immutable compiled revisions, and `publish`, the only door by which one comes into force."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from django.db import connection

from approvals import alerts, hints, known, secret_reader, secrets
from approvals import outlet as outlets
from approvals.config.document import diff, document, document_digest, parse_document
from approvals.config.stdio import is_reference
from approvals.database import database_now, in_database
from approvals.keys import actor, derive
from approvals.masking_rules import engine_of
from approvals.models import PolicyRevision
from approvals.policy import Policy
from approvals.rules.loosening import Loosening, loosenings
from approvals.secrets import SecretUnavailable
from approvals.stdio_commands import require_same
from masking.literals import Literals
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from approvals.config.document import Change
    from approvals.config.schema import Config
    from approvals.outlet import Outlet
    from masking.engine import Engine
    from sessions.events import Fact
    from sessions.journal import Journal

log = logging.getLogger("holdgate.policy")

CURRENT_REVISION = "SELECT COALESCE(MAX(number), 0) FROM approvals_policyrevision"
"""The query of the revision in force; the record's writer asks it in its own transaction."""

# In the record and in the log; the differences themselves are in the document.
_LOOSENINGS = 100


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

        `literals` are secrets to hide wherever they appear, beside those that this process knows.
        """
        return outlets.outlet(self.engine, connection_name, groups, Literals(known.literals(), literals))

    @property
    def notices(self) -> Outlet:
        """The outlet of Slack, mail, webhooks and all else that leaves the gateway as a message."""
        return outlets.notice_outlet(self.engine, Literals(known.literals()))


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did: the revision in force now, and what differs from the one before."""

    revision: int
    changes: tuple[Change, ...]
    loosened: tuple[Loosening, ...] = ()


def compile_snapshot(config: Config, *, revision: int, digest: str) -> Snapshot:
    """Compile a configuration. Raises ConfigError when it cannot be."""
    engine = engine_of(config, hash_key=derive("pseudonym"))
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

    @property
    def seen(self) -> Snapshot | None:
        """Return the snapshot in memory, if there is one: nothing is read."""
        return self._current

    def reload(self) -> Snapshot:
        """Read the newest revision and compile it if it is new. Never goes back to an older one."""
        number = revision_in_transaction()
        with self._lock:
            known = self._current
            if known is not None and known.revision >= number:
                return known
            row = PolicyRevision.objects.get(number=number) if number else None
            config = parse_document(row.document if row else None)
            _learn(config)
            self._current = compile_snapshot(config, revision=number, digest=row.digest if row else "")
            return self._current

    async def refreshed(self) -> Snapshot:
        """Reload without blocking the event loop."""
        return await in_database(self.reload)


def _learn(config: Config) -> None:
    """Read the secrets that a configuration names, so that they are hidden before they are first used.

    Commands are not run for that, nor is Vault asked, and what cannot be read now is said by whoever needs it.
    """
    credentials = [one.credential for one in config.connections.values() if one.credential is not None]
    references = [one.value for one in credentials if one.value is not None]
    for one in config.connections.values():
        references += [*one.environment.values(), *one.further_secrets]
    channels = config.channels
    if channels.slack is not None:
        slack = (channels.slack.bot_token, channels.slack.signing_secret, channels.slack.app_token)
        references += [one for one in slack if one is not None]
    references += [one for hook in channels.webhooks.values() for one in hook.secret]
    references += [team.url for team in channels.teams.values()]
    for reference in filter(is_reference, references):
        if not secrets.is_slow(reference):
            with contextlib.suppress(SecretUnavailable):
                secret_reader.configured().read(reference)


def revision_in_transaction() -> int:
    """Read the current revision number on this thread's connection, inside the writer's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(CURRENT_REVISION)
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
    facts: Mapping[str, Fact] = MappingProxyType({}),
    guard: Callable[[Config, Config], None] | None = None,
) -> Published:
    """Bring a configuration into force and record it, in one transaction; the very next call is judged by it.

    Instead of a configuration it takes what makes one: a function that runs inside the transaction, for drafts that
    change together with it; what it raises rolls everything back.

    `author` is `iss|sub` or the name of a command. With `expected`, raises RevisionConflict when the policy moved
    since. `facts` go into the entry. `guard` sees the configuration in force and the
    wanted one, in the transaction; what it raises rolls everything back.

    Without `source_digest` it did not come from the file, so it may start no other stdio server: raises ConfigError.
    A configuration equal to the current one makes no new revision. Raises RecordUnavailable.
    """

    def work() -> tuple[Published, Sequence[Event]]:
        current = PolicyRevision.objects.order_by("-number").first()
        number = current.number if current else 0
        if expected is not None and expected != number:
            raise RevisionConflict(number)
        wanted = config() if callable(config) else config
        before = parse_document(current.document if current else None)
        changes = tuple(diff(before, wanted))
        if current is not None and not changes and source_digest in {"", current.source_digest}:
            return Published(number, ()), ()
        if not source_digest:
            require_same(before, wanted)
        if guard is not None and current is not None:
            guard(before, wanted)
        row = PolicyRevision.objects.create(
            number=number + 1,
            document=document(wanted),
            digest=document_digest(wanted),
            author=author,
            source_digest=source_digest or (current.source_digest if current else ""),
            created_at=database_now(),
        )
        hints.published(row.number)
        # The first one of all has nothing before it to be looser than.
        made = Published(row.number, changes, tuple(loosenings(before, wanted)) if current else ())
        if made.loosened:
            alerts.of_revision(row.number, before, wanted)
        return made, (_published(row, made, wanted, author, facts),)

    published = journal.transact_now(work, exclusive=True)
    policies.reload()
    if published.loosened:
        told = "; ".join(map(str, published.loosened[:_LOOSENINGS]))
        log.warning("revision %d is looser than the one before: %s", published.revision, told)
    return published


def _published(row: PolicyRevision, made: Published, config: Config, author: str, facts: Mapping[str, Fact]) -> Event:
    snapshot = compile_snapshot(config, revision=row.number, digest=row.digest)
    return Event(
        kind="policy.published",
        actor=actor(author),
        policy_revision=row.number,
        policy_digest=row.digest,
        facts={
            "source": row.source_digest,
            "changed": [f"{change.kind}/{change.name} {change.action}"[:200] for change in made.changes][:200],
            "loosens": [str(one)[:120] for one in made.loosened][:_LOOSENINGS],
            **facts,
        },
        payloads={"document": snapshot.outlet("").for_record(row.document.encode())},
    )
