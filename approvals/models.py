"""People, policy revisions and their drafts, approval requests and votes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import get_backends
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q

from approvals.memory import Grant
from approvals.people import AccountLink, Delegation, LinkCode, SignInLink, UsedAssertion
from approvals.proposals import Proposal
from approvals.reviews import Review
from approvals.rules.emergency import Emergency
from approvals.rules.quorum import Quorum
from approvals.rules.ruleset import ACCESS
from approvals.rules.timetable import Timetable
from approvals.sealed import SealedArguments
from approvals.states import LIVE, Status
from sessions.ids import uuid7

__all__ = [
    "AccountLink",
    "ApprovalRequest",
    "ConfigItem",
    "Delegation",
    "KeyedCall",
    "LinkCode",
    "Person",
    "PolicyRevision",
    "Proposal",
    "Review",
    "SealedArguments",
    "SignInLink",
    "UsedAssertion",
    "Vote",
]


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
        PACK = "packs", "pack"
        CONNECTION = "connections", "connection"
        RULE = "rules", "rule"
        DETECTOR = "detectors", "detector"
        MASKING = "masking", "masking rule"
        CHANNEL = "channels", "channel"

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
    tool_scope = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Keyed; `call_digest` without the arguments."
    )
    idempotency = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the Idempotency-Key.")

    # Who asks. Copied, because the record of a decision must not change with the person.
    requester_iss = models.CharField(max_length=500)
    requester_sub = models.CharField(max_length=500)
    requester_kind = models.CharField(max_length=10)
    requester_display = models.CharField(max_length=200, blank=True)
    requester_person = models.CharField(max_length=1001, blank=True, help_text="iss|sub of the person behind.")
    requester_starter = models.CharField(
        max_length=1001, blank=True, db_default="", help_text="iss|sub of who started a job, whoever that is."
    )
    requester_linked = models.JSONField(null=True, help_text="Accounts that were linked to these when it was asked.")
    requester_run = models.JSONField(default=dict)
    requester_email = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the verified e-mail.")
    requester_owners = models.JSONField(default=list, help_text="Local groups answerable for a CI identity.")

    # Why, and who must decide: as the policy said when it was asked.
    rule = models.CharField(max_length=63)
    rule_fingerprint = models.CharField(max_length=64)
    policy_revision = models.PositiveIntegerField()
    terms = models.JSONField()

    access = models.CharField(
        max_length=36, blank=True, default="", db_default="", help_text="The window on which the caller's access rests."
    )

    # Approved not by votes on this very request, but by what was remembered of an earlier one.
    grant = models.ForeignKey(Grant, null=True, on_delete=models.PROTECT, related_name="covered")

    # Timers are columns; every statement that cares compares them with the database's clock.
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    execute_by = models.DateTimeField(null=True)
    source = models.CharField(
        max_length=20, default="quorum", db_default="quorum", help_text="What approved it: quorum, grant, break_glass."
    )
    ended_at = models.DateTimeField(null=True)

    ended_by = models.CharField(max_length=200, blank=True, db_default="", help_text="Who took the approval back.")
    ended_comment = models.TextField(blank=True, db_default="")
    nudged_at = models.DateTimeField(null=True, help_text="When the requester last brought it to mind.")
    next_action_at = models.DateTimeField(null=True, help_text="When the sweep reminds or escalates next.")
    reminded = models.PositiveSmallIntegerField(default=0, db_default=0)
    escalated = models.PositiveSmallIntegerField(default=0, db_default=0)

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
                fields=["requester_iss", "requester_sub"],
                name="approval_asked",
                condition=Q(status=Status.PENDING.value),
            ),
            models.Index(
                fields=["requester_iss", "requester_sub", "decided_at"],
                name="approval_denied",
                condition=Q(status=Status.DENIED.value),
            ),
            models.Index(
                fields=["execute_by"],
                name="access_windows",
                condition=Q(rule=ACCESS, status=Status.APPROVED.value),
            ),
            models.Index(
                fields=["access"],
                name="approval_by_access",
                condition=Q(status__in=[Status.PENDING.value, Status.APPROVED.value]) & ~Q(access=""),
            ),
            models.Index(
                fields=["next_action_at"], name="approval_next_action", condition=Q(status=Status.PENDING.value)
            ),
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
    def is_access(self) -> bool:
        """Say whether access is asked for here, and not a call. Approved, it is a window until `execute_by`."""
        return self.rule == ACCESS

    @property
    def quorum(self) -> Quorum:
        """Return who must decide, as the rule said when this was asked, with the groups that have joined since."""
        return Quorum.parse(self.terms["require"]).widened(self.timetable.escalations[: self.escalated])

    @property
    def objection(self) -> str:
        """Return what those said who denied it or took it back."""
        said = [vote.comment for vote in self.votes.filter(decision="deny")]
        return "; ".join(filter(None, [*said, self.ended_comment]))

    @property
    def last_quorum(self) -> Quorum:
        """Return who will be able to decide when every escalation has come about."""
        return Quorum.parse(self.terms["require"]).widened(self.timetable.escalations)

    @property
    def emergency(self) -> Emergency | None:
        """Return who may approve alone in an emergency, as the rule said when this was asked."""
        return Emergency.parse(self.terms.get("break_glass"))

    @property
    def timetable(self) -> Timetable:
        """Return when people are reminded and who joins them, as the rule said when this was asked."""
        return Timetable.parse(self.terms)


class Vote(models.Model):
    """What one person said about one request. One person, one vote."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="votes")
    iss = models.CharField(max_length=500)
    sub = models.CharField(max_length=500)
    display = models.CharField(max_length=200)
    on_behalf_of = models.CharField(
        max_length=1001, blank=True, default="", db_default="", help_text="iss|sub of whoever they stood in for."
    )
    on_behalf_display = models.CharField(max_length=200, blank=True, default="", db_default="")
    groups = models.JSONField(default=list, help_text="The required groups this person was in when voting.")
    decision = models.CharField(max_length=10, choices=[("approve", "approve"), ("deny", "deny")])
    comment = models.TextField(blank=True)
    remember = models.JSONField(null=True, help_text="What this person lets be remembered: scope, max_age, max_uses.")
    via = models.CharField(max_length=10)
    view = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="Digest of what was shown.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["request", "iss", "sub"], name="one_vote_per_person")]

    def __str__(self) -> str:
        return f"{self.decision} by {self.who}"

    @property
    def who(self) -> str:
        """Return who voted, and in whose place."""
        return f"{self.display}, in place of {self.on_behalf_display}" if self.on_behalf_of else self.display

    @property
    def key(self) -> str:
        """Return `iss|sub` of who voted."""
        return f"{self.iss}|{self.sub}"

    @property
    def right(self) -> str:
        """Return the account of the person whose vote this is: a place in a quorum is filled once for each."""
        return self.on_behalf_of or self.key


class KeyedCall(models.Model):
    """A call that came with an Idempotency-Key: its repeat gets the same answer and runs nothing."""

    scope = models.CharField(primary_key=True, max_length=64, help_text="Keyed digest of caller, connection and key.")
    call_digest = models.CharField(max_length=64)
    call_id = models.CharField(max_length=36)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.call_id


class OutboundMessage(models.Model):
    """Something that happened to a request and that somebody is to be told, by one route. See `approvals.outbox`."""

    class Status(models.TextChoices):
        QUEUED = "queued", "to be sent"
        SENT = "sent", "sent"
        DEAD = "dead", "given up"
        SKIPPED = "skipped", "not needed"

    id = models.CharField(primary_key=True, max_length=36, default=uuid7, editable=False)
    channel = models.CharField(max_length=20, help_text="slack, email, webhook, teams ...")
    target = models.CharField(max_length=320, help_text="As the route names it: a channel, an address, a name.")
    approval = models.CharField(max_length=36)
    subject = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="Of what is no request: revision/7, proposal/…"
    )
    event = models.CharField(max_length=40, help_text="What happened: requested, approved, reminded ...")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    ref = models.JSONField(default=dict, help_text="What the message is known by at the channel.")
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="Due from then on; while one sends it, the end of their lease.")
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="outbox_due", condition=Q(status="queued")),
            models.Index(fields=["approval", "channel", "target"], name="outbox_of_request"),
            models.Index(fields=["channel", "target", "-id"], name="outbox_of_route"),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"


from approvals.campaigns import models as _of_campaigns  # noqa: E402, F401 - Django looks for the app's models here
from approvals.catalogue import models as _of_pins  # noqa: E402, F401 - Django looks for the app's models here
from approvals.notices import models as _of_routes  # noqa: E402, F401 - Django looks for the app's models here
from approvals.slack import models as _of_slack  # noqa: E402, F401 - Django looks for the app's models here
from approvals.streams import models as _of_streams  # noqa: E402, F401 - Django looks for the app's models here
