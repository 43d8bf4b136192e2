"""What came from Slack already: a delivery that is repeated, by Slack or by somebody who recorded it, does nothing."""

from __future__ import annotations

from django.db import models


class SlackDelivery(models.Model):
    """One click or modal, known by the digest of all that it says."""

    digest = models.CharField(primary_key=True, max_length=64)
    received_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.digest[:12]
