"""The models of pinned tool definitions."""

from __future__ import annotations

from django.db import models

from sessions.ids import uuid7


class PinnedConnection(models.Model):
    """A connection whose tools were listed; `version` moves with everything that its pins say."""

    name = models.CharField(primary_key=True, max_length=63)
    version = models.PositiveIntegerField(default=0)
    pinned_at = models.DateTimeField(null=True, help_text="When its tools were first seen, and trusted.")
    tried_at = models.DateTimeField(null=True, help_text="When the gateway last began to look without a caller.")
    looked_at = models.DateTimeField(null=True, help_text="When it last saw all of them so.")
    look_failed = models.CharField(max_length=300, blank=True, default="", db_default="", help_text="Why it does not.")
    looked_for = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="Where it looked.")
    is_due = models.BooleanField(default=False, db_default=False, help_text="It is to look again now.")

    def __str__(self) -> str:
        return self.name


class ToolPin(models.Model):
    """One tool: the definition that is accepted, if any is, and the one that waits for an admin, if any does.

    Definitions are masked JSON, their digests those of what the server sent.
    """

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    connection = models.ForeignKey(PinnedConnection, on_delete=models.PROTECT, related_name="pins")
    key = models.CharField(max_length=64, help_text="Keyed digest of the tool's name.")
    tool = models.CharField(max_length=500, help_text="The name, masked.")
    digest = models.CharField(max_length=64, blank=True)
    definition = models.TextField(blank=True)
    flags = models.JSONField(default=list)
    first_seen_at = models.DateTimeField()
    accepted_by = models.CharField(max_length=1001, blank=True, help_text="iss|sub; empty for what was seen first.")
    accepted_at = models.DateTimeField(null=True)
    pending_digest = models.CharField(max_length=64, blank=True)
    pending_definition = models.TextField(blank=True)
    pending_flags = models.JSONField(default=list)
    pending_since = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True, help_text="Since when the server does not list it.")

    class Meta:
        ordering = ["tool"]
        constraints = [models.UniqueConstraint(fields=["connection", "key"], name="one_pin_per_tool")]
        indexes = [
            models.Index(fields=["connection"], name="pin_waits", condition=~models.Q(pending_digest="")),
        ]

    def __str__(self) -> str:
        return f"{self.connection_id}/{self.tool}"

    @property
    def seen(self) -> str:
        """Return the digest of what the server listed last; empty when it does not list the tool any more."""
        return "" if self.gone_at else self.pending_digest or self.digest

    @property
    def status(self) -> str:
        """Return `accepted`, `changed` or `new` (it waits), or `removed`."""
        if self.gone_at:
            return "removed"
        if not self.pending_digest:
            return "accepted"
        return "changed" if self.digest else "new"
