"""How the routes of notifications fare: what was tried, and the state of each route that follows from it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from sessions.ids import uuid7


class RouteState(models.Model):
    """One route, as its last deliveries left it. A route that was never used has no row."""

    key = models.CharField(primary_key=True, max_length=345, help_text="channel:target")
    channel = models.CharField(max_length=20)
    target = models.CharField(max_length=320)
    sent = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    given_up = models.PositiveBigIntegerField(default=0, help_text="Messages given up.")
    failures = models.PositiveIntegerField(default=0, help_text="Attempts that failed since the last success.")
    is_dead = models.BooleanField(default=False, help_text="The last attempt was refused for good.")
    failing_since = models.DateTimeField(null=True)
    last_sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    rests_until = models.DateTimeField(null=True, help_text="Nothing is sent by it until then.")

    def __str__(self) -> str:
        return self.key


class Attempt(models.Model):
    """One attempt to send one message. No body, no address, nothing that the receiver said but its status."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    message = models.CharField(max_length=36)
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    outcome = models.CharField(max_length=10, help_text="sent, retry, dead")
    said = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["message"], name="attempt_of_message")]

    def __str__(self) -> str:
        return f"{self.outcome}, attempt {self.number}"


class PushSubscription(models.Model):
    """One browser of one person that is told of what waits."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True, help_text="Keyed, of the address at the push service.")
    sealed = models.BinaryField(help_text="Address and keys.")
    browser = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.browser
