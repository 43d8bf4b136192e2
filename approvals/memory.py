"""The model of remembered decisions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from approvals.rules.remembering import Memory
from sessions.ids import uuid7


class Grant(models.Model):
    """A remembered decision: calls like the one that was approved run without asking, so often and so long.

    Whoever approved the request stands behind it. What it covers never changes; it is only counted and ended.
    """

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    request = models.OneToOneField("approvals.ApprovalRequest", on_delete=models.PROTECT, related_name="remembered")
    scope = models.CharField(max_length=20)
    covers = models.CharField(max_length=64, help_text="Keyed digest that every covered call has.")
    rule_fingerprint = models.CharField(max_length=64)
    max_age = models.PositiveIntegerField(help_text="Seconds.")
    max_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=1001, blank=True, default="")
    expired_at = models.DateTimeField(null=True, help_text="When the sweep recorded its end.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["covers"], name="grant_by_call"),
            models.Index(fields=["expires_at"], name="grant_open", condition=Q(revoked_at=None, expired_at=None)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=models.F("max_uses")), name="grant_is_capped"),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("made_at")), name="grant_lives"),
        ]

    def __str__(self) -> str:
        return str(Memory.parse({"scope": self.scope, "max_age": self.max_age, "max_uses": self.max_uses}))
