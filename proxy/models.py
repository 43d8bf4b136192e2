"""Sessions of the legacy protocol era. The modern era has none."""

from __future__ import annotations

from django.db import models


class LegacySession(models.Model):
    """A session that an upstream opened for one caller. The caller knows our id, never the upstream's."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="SHA-256 of the id the caller holds.")
    caller = models.CharField(max_length=64, help_text="Keyed digest of the caller it is bound to.")
    connection = models.CharField(max_length=63)
    upstream = models.BinaryField(help_text="The upstream's own session id, sealed.")
    version = models.CharField(max_length=20)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="legacy_session_age")]

    def __str__(self) -> str:
        return f"session on {self.connection}"
