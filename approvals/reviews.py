"""The debt of a break-glass: a row for each, open until a second person has looked at it and said so."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Review(models.Model):
    """Somebody approved alone, and why; and who looked at it afterwards. It is never deleted."""

    request = models.OneToOneField(
        "approvals.ApprovalRequest", on_delete=models.PROTECT, primary_key=True, related_name="review"
    )
    iss = models.CharField(max_length=500)
    sub = models.CharField(max_length=500)
    display = models.CharField(max_length=200)
    reason = models.TextField()
    via = models.CharField(max_length=10)
    opened_at = models.DateTimeField()
    closed_iss = models.CharField(max_length=500, blank=True)
    closed_sub = models.CharField(max_length=500, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    comment = models.TextField(blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        indexes = [models.Index(fields=["opened_at"], name="review_open", condition=Q(closed_at=None))]

    def __str__(self) -> str:
        return f"break-glass by {self.display}"

    @property
    def is_open(self) -> bool:
        """Whether nobody has looked at it yet."""
        return self.closed_at is None
