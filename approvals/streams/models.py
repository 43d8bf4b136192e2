"""Up to which place of the log each stream was sent, and how it fares."""

from __future__ import annotations

from django.db import models


class StreamProgress(models.Model):
    """One stream, by its name. What lies below `position` has arrived; who holds the lease sends."""

    name = models.CharField(primary_key=True, max_length=63)
    position = models.BigIntegerField()
    leased_until = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True, help_text="Not before, since it failed.")
    attempts = models.PositiveIntegerField(default=0, help_text="That failed, since one succeeded.")
    error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} up to {self.position}"
