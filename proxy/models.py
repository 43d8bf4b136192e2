"""Sessions of the legacy protocol era (the modern one has none), what waits between requests, and limits."""

from __future__ import annotations

from django.db import models


class RateBucket(models.Model):
    """What is left of one limit for one scope. `turn` is compared and set: a clock may stand still."""

    scope = models.CharField(primary_key=True, max_length=64, help_text="Keyed digest of whom it limits.")
    tokens = models.FloatField()
    at = models.DateTimeField()
    turn = models.BigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["at"], name="rate_bucket_age")]

    def __str__(self) -> str:
        return f"{self.tokens:g} left"


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


class OwnTask(models.Model):
    """For which caller a server made a task: to the server all callers are one."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="Keyed digest of connection and id.")
    caller = models.CharField(max_length=64, help_text="Keyed digest of the caller whose it is.")
    tool = models.TextField(default="", help_text="That made it.")
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="own_task_age")]

    def __str__(self) -> str:
        return f"task {self.digest[:8]}"


class ParkedMessage(models.Model):
    """A message that waits for the next request of a caller: see `proxy.between.mailbox`."""

    key = models.CharField(max_length=64, help_text="Known to who takes it alone.")
    number = models.IntegerField()
    body = models.BinaryField(help_text="Sealed.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "number"], name="parked_message_place")]
        indexes = [models.Index(fields=["created_at"], name="parked_message_age")]

    def __str__(self) -> str:
        return f"message {self.number}"


class TokenGrant(models.Model):
    """What renews the tokens for one server, of the connection or of one person. `turn` is compared and set."""

    place = models.CharField(primary_key=True, max_length=64, help_text="Keyed digest of server, client and holder.")
    connection = models.CharField(max_length=63)
    holder = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the person; empty: none's.")
    sealed = models.BinaryField(help_text="The refresh token and the newest access token, sealed.")
    turn = models.BigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, help_text="Until then one process alone renews it.")
    made_at = models.DateTimeField()
    renewed_at = models.DateTimeField()
    ended = models.CharField(max_length=40, blank=True, help_text="Why the authorization server renews it no more.")

    class Meta:
        indexes = [
            models.Index(fields=["holder"], name="token_grant_holder"),
            models.Index(fields=["renewed_at"], name="token_grant_age"),
        ]

    def __str__(self) -> str:
        return f"grant at {self.connection}"


class Agent(models.Model):
    """An agent in another network: what it may serve, by which token it is known, and where its socket is."""

    name = models.CharField(primary_key=True, max_length=63)
    connections = models.JSONField(default=list, help_text="Names of the connections that it may serve.")
    token = models.CharField(max_length=64, unique=True, help_text="SHA-256 of its token.")
    token_before = models.CharField(max_length=64, blank=True, db_index=True, help_text="Until the new one is used.")
    token_before_until = models.DateTimeField(null=True)
    made_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(default=0, help_text="Counts its sockets: the newest one alone is served.")
    process = models.CharField(max_length=64, blank=True, help_text="The process that has the socket.")
    address = models.CharField(max_length=200, blank=True, help_text="Where other processes reach that process.")
    connected_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="When that process last had the socket.")
    build = models.CharField(max_length=100, blank=True)
    serves = models.JSONField(default=list, help_text="What it says it serves.")
    health = models.JSONField(default=dict, help_text="What it says of its servers.")

    def __str__(self) -> str:
        return self.name
