"""What the caller of a waiting request sent, sealed."""

from __future__ import annotations

from django.db import models


class SealedArguments(models.Model):
    """The unmasked arguments of one pending request, under AES-GCM; there only where a rule says `reveal_to`."""

    request = models.OneToOneField(
        "approvals.ApprovalRequest", primary_key=True, on_delete=models.CASCADE, related_name="sent"
    )
    sealed = models.BinaryField()
    places = models.JSONField(help_text="What is hidden: position and name, the name as an approver sees it.")

    def __str__(self) -> str:
        return f"arguments of {self.pk}"
