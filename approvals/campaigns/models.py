"""Reviews of access as working state; what is evidence of them stands in the record."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from sessions.ids import uuid7


class Campaign(models.Model):
    """One review of all access of one moment."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    title = models.CharField(max_length=200)
    policy_revision = models.PositiveIntegerField()
    due = models.DateField()
    reviewers = models.JSONField(help_text="iss|sub and name of each.")
    started_by = models.CharField(max_length=1001, help_text="iss|sub")
    started_display = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    closed_by = models.CharField(max_length=1001, blank=True, help_text="iss|sub")
    closed_display = models.CharField(max_length=200, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.title


class Line(models.Model):
    """One group's access to one connection, or its role, as it was when the campaign began."""

    class Decision(models.TextChoices):
        """What a reviewer says of it."""

        KEEP = "keep", "keep"
        REMOVE = "remove", "remove"
        FOLLOW_UP = "follow_up", "needs follow-up"

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="lines")
    number = models.PositiveIntegerField()
    group = models.CharField(max_length=200)
    connection = models.CharField(max_length=63, blank=True)
    role = models.CharField(max_length=20, blank=True)
    tools = models.JSONField(default=list)
    kinds = models.JSONField(default=list)
    members = models.JSONField(default=list, help_text="Who is known to be in the group.")
    calls = models.PositiveIntegerField(default=0, help_text="Of people and programs in the group, on the connection.")
    last_call = models.DateTimeField(null=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, blank=True)
    comment = models.TextField(blank=True)
    decided_by = models.CharField(max_length=1001, blank=True, help_text="iss|sub")
    decided_display = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True)
    settled = models.TextField(blank=True, help_text="What was done about it.")
    settled_by = models.CharField(max_length=1001, blank=True, help_text="iss|sub")
    settled_display = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["campaign", "number"], name="one_review_line")]

    def __str__(self) -> str:
        return f"{self.group}: {self.connection or self.role}"

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done: nobody has decided, or what was decided is not settled."""
        return not self.decision or (self.decision != self.Decision.KEEP and self.settled_at is None)
