"""Publications that wait for a second admin: what was proposed, on top of which revision, and what became of it."""

from __future__ import annotations

from django.db import models

from sessions.ids import uuid7


class Proposal(models.Model):
    """One configuration that one admin wants in force. It never changes but for its end, and is never deleted."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waits for a second admin"
        PUBLISHED = "published", "published"
        WITHDRAWN = "withdrawn", "withdrawn"

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    document = models.TextField(help_text="Canonical JSON of the whole configuration.")
    base = models.PositiveIntegerField(help_text="The revision that it was compared with; on another it is stale.")
    replaces_drafts = models.BooleanField(default=False)
    reverts = models.PositiveIntegerField(null=True)
    author = models.CharField(max_length=1001, help_text="iss|sub")
    display = models.CharField(max_length=200)
    proposed_at = models.DateTimeField()
    ended_by = models.CharField(max_length=1001, blank=True, help_text="iss|sub")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"proposal of {self.display}"
