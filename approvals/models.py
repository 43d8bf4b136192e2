"""People, policy revisions and their drafts, approval requests and votes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import get_backends
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q

from approvals.quorum import Quorum
from approvals.states import LIVE, Status
from sessions.ids import uuid7


class Roster(BaseUserManager["Person"]):
    """Finds people by who vouches for them, never by e-mail."""

    def seen(self, *, iss: str, sub: str, **fields: Any) -> Person:
        """Return the person of this issuer and subject, made or brought up to date with the given fields."""
        person, _ = self.update_or_create(iss=iss, sub=sub, defaults=fields)
        return person

    def get_by_natural_key(self, username: str | None) -> Person:
        return self.get(pk=username)


class Person(AbstractBaseUser):
    """Somebody who signed in, known by issuer and subject. Never looked up by e-mail."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    iss = models.CharField("issuer", max_length=500)
    sub = models.CharField("subject", max_length=500)
    email = models.CharField(max_length=320, blank=True, help_text="Only when the issuer says that it is verified.")
    display = models.CharField("name", max_length=200, blank=True)
    issuer_groups = models.JSONField(default=list, blank=True, help_text="As of the last sign-in: issuer/group.")
    issuer_groups_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Roster] = Roster()
    USERNAME_FIELD = "id"
    EMAIL_FIELD = "email"

    class Meta:
        verbose_name_plural = "people"
        constraints = [models.UniqueConstraint(fields=["iss", "sub"], name="one_person_per_subject")]

    def __str__(self) -> str:
        return self.display or self.email or self.sub

    @property
    def key(self) -> str:
        """Return `iss|sub`, as the configuration names an account."""
        return f"{self.iss}|{self.sub}"

    @property
    def is_staff(self) -> bool:
        """Whether this person may enter the admin: the role `admin` of the policy in force, nothing stored here."""
        return self.has_perm("admin")

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        """Say whether a backend grants this; what no admin may do, the admin pages refuse themselves."""
        return any(backend.has_perm(self, perm, obj) for backend in get_backends() if hasattr(backend, "has_perm"))

    def has_module_perms(self, app_label: str) -> bool:
        """Say whether this person may see an app's part of the admin."""
        return self.has_perm(app_label)


class SignInLink(models.Model):
    """A link that signs one person in, once. Only its digest is kept."""

    digest = models.CharField(primary_key=True, max_length=64)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link of {self.person}"


class PolicyRevision(models.Model):
    """One immutable published configuration. Every call names the revision that judged it."""

    number = models.PositiveIntegerField(primary_key=True)
    document = models.TextField(help_text="Canonical JSON of the whole configuration.")
    digest = models.CharField(max_length=64)
    author = models.CharField(max_length=300)
    source_digest = models.CharField(max_length=64, blank=True, help_text="Of the file that was applied.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"revision {self.number}"


class ConfigItem(models.Model):
    """The draft of one entry of the configuration. It governs nothing until it is published."""

    class Kind(models.TextChoices):
        ISSUER = "issuers", "issuer"
        GROUP = "groups", "group"
        PERSON = "people", "person"
        ROLE = "roles", "role"
        CONNECTION = "connections", "connection"
        RULE = "rules", "rule"
        MASKING = "masking", "masking rule"

    class Owner(models.TextChoices):
        FILE = "file", "the configuration file"
        ADMIN = "admin", "the admin"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=63)
    body = models.JSONField(help_text="The entry in the language of holdgate.yaml.")
    owner = models.CharField(max_length=10, choices=Owner.choices, default=Owner.ADMIN)
    enabled = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0, help_text="Order in the exported file; it decides nothing.")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "configuration entry"
        verbose_name_plural = "configuration entries"
        ordering = ["kind", "position", "name"]
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="one_item_per_name")]

    def __str__(self) -> str:
        return self.name


class ApprovalRequest(models.Model):
    """One held call that waits for people. What is asked never changes; only `move()` writes the status."""

    STATUSES = [(status.value, status.value.replace("_", " ")) for status in Status]

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    status = models.CharField(max_length=20, choices=STATUSES, default=Status.PENDING.value)
    version = models.PositiveIntegerField(default=1)

    # What is asked.
    call_id = models.CharField(max_length=36)
    session = models.CharField(max_length=64, blank=True)
    connection = models.CharField(max_length=63)
    method = models.CharField(max_length=100)
    tool = models.CharField(max_length=500)
    arguments = models.TextField(help_text="JSON as an approver may see it.")
    reason = models.TextField(blank=True)
    call_digest = models.CharField(max_length=64, help_text="Keyed; equal for identical calls of one caller.")
    binding = models.CharField(max_length=64, help_text="Keyed; the call and the policy that judged it.")
    tool_digest = models.CharField(max_length=64, blank=True)
    idempotency = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the Idempotency-Key.")

    # Who asks. Copied, because the record of a decision must not change with the person.
    requester_iss = models.CharField(max_length=500)
    requester_sub = models.CharField(max_length=500)
    requester_kind = models.CharField(max_length=10)
    requester_display = models.CharField(max_length=200, blank=True)
    requester_person = models.CharField(max_length=1001, blank=True, help_text="iss|sub of the person behind.")
    requester_run = models.JSONField(default=dict)
    requester_email = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the verified e-mail.")
    requester_owners = models.JSONField(default=list, help_text="Local groups answerable for a CI identity.")

    # Why, and who must decide: as the policy said when it was asked.
    rule = models.CharField(max_length=63)
    rule_fingerprint = models.CharField(max_length=64)
    policy_revision = models.PositiveIntegerField()
    terms = models.JSONField()

    # Timers are columns; every statement that cares compares them with the database's clock.
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    execute_by = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    # Who waits, who runs it, and what came of it.
    attached_to = models.CharField(max_length=36, blank=True, help_text="The process whose caller waits.")
    claim = models.CharField(max_length=36, blank=True)
    executed = models.CharField(max_length=10, default="false")
    result = models.BinaryField(null=True, help_text="The masked answer, until it was fetched.")
    result_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["call_digest", "-id"], name="approval_by_call"),
            models.Index(fields=["status", "-id"], name="approval_by_status"),
            models.Index(fields=["rule_fingerprint"], name="approval_by_rule"),
            models.Index(
                fields=["expires_at"], name="approval_open", condition=Q(status__in=[s.value for s in sorted(LIVE)])
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=[s.value for s in Status]), name="approval_status_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="approval_lives"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} on {self.connection}"

    @property
    def quorum(self) -> Quorum:
        """Return who must decide, as the rule said when this was asked."""
        return Quorum.parse(self.terms["require"])


class Vote(models.Model):
    """What one person said about one request. One person, one vote."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="votes")
    iss = models.CharField(max_length=500)
    sub = models.CharField(max_length=500)
    display = models.CharField(max_length=200)
    groups = models.JSONField(default=list, help_text="The required groups this person was in when voting.")
    decision = models.CharField(max_length=10, choices=[("approve", "approve"), ("deny", "deny")])
    comment = models.TextField(blank=True)
    via = models.CharField(max_length=10)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["request", "iss", "sub"], name="one_vote_per_person")]

    def __str__(self) -> str:
        return f"{self.decision} by {self.display}"


class KeyedCall(models.Model):
    """A call that came with an Idempotency-Key: its repeat gets the same answer and runs nothing."""

    scope = models.CharField(primary_key=True, max_length=64, help_text="Keyed digest of caller, connection and key.")
    call_digest = models.CharField(max_length=64)
    call_id = models.CharField(max_length=36)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.call_id
