"""How often masking hid what, by day: counted from the record, and to be counted again from it at any time."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class MaskingCount(models.Model):
    """What was hidden on one day (UTC) on one connection; or, with an actor, what they saw that others do not."""

    day = models.DateField()
    connection = models.CharField(max_length=63)
    actor = models.CharField(max_length=64, blank=True, help_text="As the record knows them; empty: hidden.")
    name = models.CharField(max_length=200, help_text="The detector or field.")
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["day", "connection", "actor", "name"], name="one_masking_count")
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.day}: {self.count}"


class MaskingProgress(models.Model):
    """The one row (id 1) that says up to which place of the log the counts go."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"up to {self.position}"
