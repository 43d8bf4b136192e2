"""Tables of the record.

Under proof, append-only (guards.py): Entry, LogIndex, Checkpoint. Payload is under proof too, and deletable.
Derived from the record, to be rebuilt or lost without harm: RecordedSession, RecordedCall, CallProgress, OpenCall,
ErasedPayload.
Operational, no evidence: GatewayProcess, SequencerState, LegalHold, ErasureRequest, RetentionProgress, BundleJob,
BundlePart, AnchorState.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from sessions.ids import uuid7


class Entry(models.Model):
    """One entry. `leaf` holds the exact bytes; every other column is recomputed from them by `verify`."""

    id = models.BigAutoField(primary_key=True)
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField(max_length=32, unique=True)
    kind = models.TextField()
    ts = models.DateTimeField()
    call_id = models.TextField()
    session = models.TextField()
    connection = models.TextField()
    tool = models.TextField()
    actor = models.TextField()

    class Meta:
        verbose_name_plural = "entries"
        indexes: ClassVar = [
            models.Index(fields=["call_id"], name="entry_of_call"),
            # With the id, so that each page of a long session costs the same.
            models.Index(fields=["session", "id"], name="entry_of_session"),
            models.Index(fields=["ts"], name="entry_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class LogIndex(models.Model):
    """The place of an entry in the Merkle log, given after commit by the sequencer. Dense from 0."""

    log_index = models.BigIntegerField(primary_key=True)
    # No constraint: it would cost a look-up per entry, and `verify` proves far more than it could.
    entry = models.OneToOneField(Entry, on_delete=models.DO_NOTHING, related_name="place", db_constraint=False)

    def __str__(self) -> str:
        return f"{self.log_index} is entry {self.entry_id}"


class Checkpoint(models.Model):
    """A signed tree head. `note` is the C2SP note; `size` and `root` repeat what it says."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    note = models.TextField()

    def __str__(self) -> str:
        return f"checkpoint {self.size}"


class Payload(models.Model):
    """Masked bytes behind a commitment of an entry (`leaf_hash`). Deleting row and salt erases the value."""

    commitment = models.BinaryField(max_length=32, primary_key=True)
    leaf_hash = models.BinaryField(max_length=32)
    name = models.TextField()
    call_id = models.TextField()
    salt = models.BinaryField(max_length=32)
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.name} of {self.call_id or 'no call'}"


class RecordedSession(models.Model):
    """Calls grouped for replay: an actor on a connection within a run, or until an idle gap. Derived."""

    id = models.CharField(primary_key=True, max_length=64)
    actor = models.TextField()
    connection = models.TextField()
    run = models.TextField()
    started_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-started_at", "-id"], name="session_newest_first"),
            models.Index(fields=["actor", "-started_at", "-id"], name="session_of_actor"),
            models.Index(fields=["connection", "-started_at", "-id"], name="session_on_connection"),
        ]

    def __str__(self) -> str:
        return self.id


class RecordedCall(models.Model):
    """One call as it can be searched. Derived: `sessions.search.index` makes it from the log, and can make it again.

    `id` is the time of the call's first entry in microseconds, times 1024, so that its order is that of time.
    """

    id = models.BigIntegerField(primary_key=True)
    call_id = models.TextField(unique=True)
    session = models.TextField()
    connection = models.TextField()
    method = models.TextField()
    tool = models.TextField()
    actor = models.TextField()
    at = models.DateTimeField()
    verdict = models.TextField()
    outcome = models.TextField()
    rules = models.JSONField(default=list)
    masked = models.JSONField(default=dict)
    exposed = models.JSONField(default=dict)
    facets = models.TextField()
    words = models.TextField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["session", "id"], name="call_of_session")]

    def __str__(self) -> str:
        return f"{self.tool or self.method} on {self.connection}"


class CallProgress(models.Model):
    """The one row (id 1) that says up to which place of the log calls can be searched."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"up to {self.position}"


class OpenCall(models.Model):
    """A call.intent without its terminal event yet. Derived; deleted together with the terminal event."""

    call_id = models.CharField(primary_key=True, max_length=64)
    leaf_hash = models.BinaryField(max_length=32)
    writer = models.CharField(max_length=64, db_index=True)
    recover_after = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.call_id


class GatewayProcess(models.Model):
    """A process that writes the record. Silent for 15 s means dead; stopped says so itself."""

    id = models.CharField(primary_key=True, max_length=64)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.id


class SequencerState(models.Model):
    """The one row (id 1) of the elected sequencer: its epoch fences every write of the log."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    epoch = models.BigIntegerField(default=0)
    holder = models.TextField(default="")
    lease_until = models.DateTimeField(null=True)
    size = models.BigIntegerField(default=0)
    frontier = models.BinaryField(default=bytes)
    low_water = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"sequencer epoch {self.epoch}, size {self.size}"


class LegalHold(models.Model):
    """What no retention and no request erases, while it stands: everything that fits all that it names. Operational."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    connection = models.TextField(blank=True)
    session = models.TextField(blank=True)
    call_id = models.TextField(blank=True)
    actor = models.TextField(blank=True)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    reason = models.TextField()
    placed_by = models.TextField(help_text="iss|sub")
    placed_display = models.TextField(blank=True)
    placed_at = models.DateTimeField()
    lifted_by = models.TextField(blank=True)
    lifted_display = models.TextField(blank=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"hold {self.pk}"


class ErasureRequest(models.Model):
    """Payloads of a session or of one call that somebody asked to erase; a second person confirms. Operational."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waits for a second person"
        CONFIRMED = "confirmed", "about to be erased"
        DONE = "done", "erased"
        WITHDRAWN = "withdrawn", "withdrawn"

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    session = models.TextField()
    call_id = models.TextField(blank=True)
    reason = models.TextField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    asked_by = models.TextField(help_text="iss|sub")
    asked_display = models.TextField(blank=True)
    asked_at = models.DateTimeField()
    ended_by = models.TextField(blank=True)
    ended_display = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True)
    erased = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"erasure {self.pk}"


class ErasedPayload(models.Model):
    """Which entry says that a payload was erased. Derived. `is_forgotten`: copies in working tables are gone too."""

    commitment = models.BinaryField(max_length=32, primary_key=True)
    leaf_hash = models.BinaryField(max_length=32)
    session = models.TextField()
    call_id = models.TextField()
    is_forgotten = models.BooleanField(default=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["call_id"], name="erased_not_forgotten", condition=models.Q(is_forgotten=False))
        ]

    def __str__(self) -> str:
        return bytes(self.commitment).hex()


class RetentionProgress(models.Model):
    """Up to which entry the payloads of a connection were looked at. Operational."""

    connection = models.TextField(primary_key=True)
    ts = models.DateTimeField()
    entry_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.connection} up to {self.ts}"


class BundleJob(models.Model):
    """A bundle of evidence that somebody asked for: how far it is, and until when its file is kept.

    `making` names the attempt that works on it; whoever finds another name there than their own has lost it.
    """

    class State(models.TextChoices):
        """wanted, making, made (the record does not say so yet), ready to download; failed; deleted."""

        WANTED = "wanted"
        MAKING = "making"
        MADE = "made"
        READY = "ready"
        FAILED = "failed"
        DELETED = "deleted"

    id = models.CharField(primary_key=True, max_length=36)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WANTED)
    since = models.DateTimeField()
    until = models.DateTimeField()
    payloads = models.BooleanField(default=False)
    asked_at = models.DateTimeField()
    asked_by = models.JSONField(help_text="iss, sub and name of who asked.")
    actor = models.CharField(max_length=64, help_text="The same person as the record knows them.")
    making = models.CharField(max_length=36, blank=True)
    beat_at = models.DateTimeField(null=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    problem = models.TextField(blank=True)
    name = models.CharField(max_length=300, blank=True)
    size = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the file.")
    manifest = models.CharField(max_length=64, blank=True)
    first = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state"], name="bundle_by_state")]

    def __str__(self) -> str:
        return f"{self.since:%F} to {self.until:%F}: {self.state}"


class BundlePart(models.Model):
    """A piece of a bundle's file, in the database so that every web process can hand it out."""

    making = models.CharField(max_length=36)
    number = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["making", "number"], name="one_bundle_part")]

    def __str__(self) -> str:
        return f"{self.making} {self.number}"


class AnchorState(models.Model):
    """What is known of an anchor beside the file: the newest checkpoint put there, and why the last try failed."""

    name = models.TextField(primary_key=True)
    size = models.BigIntegerField(default=0)
    put_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    error = models.TextField(default="")

    def __str__(self) -> str:
        return f"{self.name} holds {self.size}"
