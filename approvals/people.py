"""What ties people to accounts and to each other, as rows: links and their codes, delegations, sign-in links.

An account is `iss|sub` or `slack:TEAM/USER`.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from sessions.ids import uuid7


class AccountLink(models.Model):
    """An account that belongs to a person. It ends and is never deleted: a former link still refuses for a while."""

    class Method(models.TextChoices):
        TOKEN = "token", "a one-time token"
        JOB = "job", "a CI job"
        CLAIM = "claim", "a claim of the identity provider"

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    account = models.CharField(max_length=1001, help_text="iss|sub, or slack:TEAM/USER.")
    holder = models.CharField(max_length=1001, help_text="iss|sub of the person whose account it is.")
    display = models.CharField(max_length=200, blank=True, help_text="As the account was shown when it was linked.")
    method = models.CharField(max_length=10, choices=Method.choices)
    made_by = models.CharField(max_length=1001)
    made_at = models.DateTimeField()
    ended_by = models.CharField(max_length=1001, blank=True)
    ended_at = models.DateTimeField(null=True)
    refuses_until = models.DateTimeField(null=True, help_text="A link that ended counts until then against a vote.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account"], condition=Q(ended_at=None), name="one_holder_per_account")
        ]
        indexes = [
            models.Index(fields=["account"], name="link_by_account"),
            models.Index(fields=["holder"], name="link_by_holder"),
        ]

    def __str__(self) -> str:
        return f"{self.display or 'account'} ({self.method})"


class LinkCode(models.Model):
    """A one-time token by which an account and a person are tied. Only its digest is kept.

    An offer knows the account (a Slack user) and waits for a person; an invitation knows the person, its holder, and
    waits for an account, which a CI job may have claimed already.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    account = models.CharField(max_length=1001, blank=True)
    display = models.CharField(max_length=200, blank=True)
    holder = models.CharField(max_length=1001, blank=True)
    expires_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, help_text="When a CI job showed it; its maker must still agree.")
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["holder", "-expires_at"], name="code_by_holder")]

    def __str__(self) -> str:
        return "offer" if not self.holder else "invitation"


class Delegation(models.Model):
    """Somebody is away, and somebody else decides in their place, between two dates. It is revoked, never changed."""

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    delegator = models.CharField(max_length=1001, help_text="iss|sub of who is away.")
    delegator_display = models.CharField(max_length=200)
    delegate = models.CharField(max_length=1001, help_text="iss|sub of who decides in their place.")
    delegate_display = models.CharField(max_length=200)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    made_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=1001, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["delegate", "ends_at"], name="delegation_by_delegate"),
            models.Index(fields=["delegator", "ends_at"], name="delegation_by_delegator"),
        ]
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="delegation_lasts")]

    def __str__(self) -> str:
        return f"{self.delegate_display} for {self.delegator_display}"


class SignInLink(models.Model):
    """A link that signs one person in, once. Only its digest is kept."""

    digest = models.CharField(primary_key=True, max_length=64)
    person = models.ForeignKey("approvals.Person", on_delete=models.CASCADE)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link of {self.person}"


class UsedAssertion(models.Model):
    """A SAML assertion that signed somebody in. Only its keyed digest is kept, until it would have ended anyway."""

    digest = models.CharField(primary_key=True, max_length=64)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
