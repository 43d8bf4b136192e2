"""The admin: drafts of the configuration with their publication, and read-only views of what happened.

Drafts are edited as the YAML that holdgate.yaml would hold. Nothing here governs a call before it is
published, and what happened can be looked at and not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals import accounts, deactivation, delegation
from approvals.config.document import diff, dump, parse_document
from approvals.masks.pages import overview, try_text
from approvals.models import AccountLink, ApprovalRequest, ConfigItem, Delegation, Person, PolicyRevision, Vote
from approvals.pages.backtest import back_test
from approvals.pages.draft_form import DraftForm
from approvals.pages.proposals import proposal
from approvals.pages.publishing import publish_drafts, revert
from approvals.pages.rule_form import FIELDSETS, RuleForm
from approvals.pages.rule_list import rules
from approvals.pages.trying import try_call
from approvals.revision_diff import differences
from approvals.rules.loosening import loosenings
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable, RecordUncertain

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.config.schema import Config

    _Items = admin.ModelAdmin[ConfigItem]
    _Anything = admin.ModelAdmin[Any]
    _Votes = admin.TabularInline[Vote, ApprovalRequest]
else:  # generic for the type checker only
    _Items = _Anything = admin.ModelAdmin
    _Votes = admin.TabularInline

SHOWN = 5
MOST_TOLD = 1000

# Roles come from the policy alone: Django's own groups would be a second truth that decides nothing.
admin.site.unregister(Group)
admin.site.site_header = admin.site.site_title = "Holdgate"
admin.site.index_title = "Configuration and records"


@admin.register(ConfigItem)
class ConfigItemAdmin(_Items):
    """Drafts. What the file owns is shown and not edited; nothing is deleted, only switched off."""

    form = DraftForm
    list_display = ("name", "kind", "owner", "enabled", "changed_at")
    list_filter = ("kind", "owner", "enabled")
    search_fields = ("name",)
    ordering = ("kind", "name")
    fields = ("kind", "name", "enabled", "text")
    change_list_template = "admin/approvals/configitem/change_list.html"

    def get_readonly_fields(self, request: HttpRequest, obj: ConfigItem | None = None) -> tuple[str, ...]:
        """Kind and name are for ever: a new name is a new item."""
        return ("kind", "name") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: ConfigItem | None = None) -> bool:
        """What the configuration file owns is changed there."""
        of_file = obj is not None and obj.owner == ConfigItem.Owner.FILE
        return not of_file and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ConfigItem | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: ConfigItem | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Take the form of rules for a rule."""
        if _is_rule(request, obj) and self.has_change_permission(request, obj):
            kwargs["form"] = RuleForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ConfigItem | None = None) -> Any:
        """Group the fields of a rule."""
        if not _is_rule(request, obj) or not self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return [(title, {"fields": fields, "description": said}) for title, fields, said in FIELDSETS]

    def get_fields(self, request: HttpRequest, obj: ConfigItem | None = None) -> Any:
        """Show the text read-only where the form is not to be had."""
        return ("kind", "name", "enabled", "as_yaml") if obj and obj.owner == ConfigItem.Owner.FILE else self.fields

    @admin.display(description="Body")
    def as_yaml(self, obj: ConfigItem) -> SafeString:
        """Render the body as YAML."""
        return format_html("<pre>{}</pre>", yaml.safe_dump(obj.body, sort_keys=False, allow_unicode=True))

    def save_model(self, request: HttpRequest, obj: ConfigItem, form: Any, change: bool) -> None:
        """Keep the draft, and say that it is one."""
        super().save_model(request, obj, form, change)
        messages.info(request, "This is a draft. It governs calls once it is published.")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that publish, and that try what would be published."""
        own = [
            path("publish/", self.admin_site.admin_view(publish_drafts), name="approvals_publish"),
            path("proposals/<str:proposal_id>/", self.admin_site.admin_view(proposal), name="approvals_proposal"),
            path("rules/", self.admin_site.admin_view(rules), name="approvals_rules"),
            path("masking/", self.admin_site.admin_view(overview), name="approvals_masking"),
            path("mask/", self.admin_site.admin_view(try_text), name="approvals_mask_try"),
            path("try/", self.admin_site.admin_view(try_call), name="approvals_try"),
            path("back-test/", self.admin_site.admin_view(back_test), name="approvals_back_test"),
        ]
        return [*own, *super().get_urls()]


def _is_rule(request: HttpRequest, item: ConfigItem | None) -> bool:
    kind = item.kind if item is not None else request.POST.get("kind") or request.GET.get("kind")
    return kind == ConfigItem.Kind.RULE


def _before_and_after(row: PolicyRevision) -> tuple[Config, Config]:
    before = PolicyRevision.objects.filter(number=row.number - 1).first()
    return parse_document(before.document if before else None), parse_document(row.document)


class ReadOnly(_Anything):
    """Looked at, never changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(PolicyRevision)
class PolicyRevisionAdmin(ReadOnly):
    """Every configuration that was ever in force."""

    list_display = ("number", "who", "created_at", "changed", "loosened")
    list_per_page = 20
    fields = ("number", "who", "created_at", "digest", "source_digest", "difference", "loosened", "as_yaml")
    change_form_template = "admin/approvals/policyrevision/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page that goes back to a revision."""
        own = path("<int:number>/revert/", self.admin_site.admin_view(revert), name="approvals_revert")
        return [own, *super().get_urls()]

    @admin.display(description="Author")
    def who(self, obj: PolicyRevision) -> str:
        """Return the name of a person, or the command."""
        iss, separator, sub = obj.author.partition("|")
        person = Person.objects.filter(iss=iss, sub=sub).first() if separator else None
        return obj.author if person is None else f"{person} ({obj.author})"

    @admin.display(description="Changed")
    def changed(self, obj: PolicyRevision) -> str:
        """Say in short what differs from the revision before."""
        changes = [str(change) for change in diff(*_before_and_after(obj))]
        return ", ".join(changes[:SHOWN]) + (f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else "")

    @admin.display(description="Difference to the revision before")
    def difference(self, obj: PolicyRevision) -> SafeString:
        """Render what differs, line by line."""
        lines = [f"{sign} {line}" for one in differences(diff(*_before_and_after(obj))) for sign, line in one.lines]
        return format_html("<pre>{}</pre>", "\n".join(lines) or "none")

    @admin.display(description="Looser than before")
    def loosened(self, obj: PolicyRevision) -> str:
        """Say what is looser than in the revision before."""
        found = loosenings(*_before_and_after(obj)) if obj.number > 1 else []
        return "; ".join(map(str, found))[:MOST_TOLD]

    @admin.display(description="Configuration")
    def as_yaml(self, obj: PolicyRevision) -> SafeString:
        """Render the whole configuration as YAML."""
        return format_html("<pre>{}</pre>", dump(parse_document(obj.document)))


class Votes(_Votes):
    """Who said what about a request."""

    model = Vote
    extra = 0
    can_delete = False
    fields = readonly_fields = ("display", "decision", "via", "at", "groups")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnly):
    """Requests without what they carry: an admin keeps the house and does not read the letters."""

    list_display = ("tool", "connection", "status", "requester_display", "rule", "created_at", "decided_at")
    list_filter = ("status", "connection", "rule", "requester_kind")
    search_fields = ("id", "call_id", "requester_sub")
    ordering = ("-id",)
    fields = (
        "id", "status", "call_id", "connection", "method", "tool", "requester_iss", "requester_sub",
        "requester_kind", "requester_display", "requester_person", "rule", "policy_revision", "terms",
        "created_at", "expires_at", "decided_at", "execute_by", "ended_at", "executed",
    )  # fmt: skip
    inlines = (Votes,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApprovalRequest]:
        """Leave out of memory what is not shown."""
        return super().get_queryset(request).defer("arguments", "reason", "result")


@admin.register(Person)
class PersonAdmin(ReadOnly):
    """Who signed in.

    People are made by signing in, and get their groups from the configuration and their issuer.
    """

    list_display = ("display", "email", "iss", "sub", "is_active", "last_seen_at")
    search_fields = ("display", "email", "sub")
    fields = (
        "id", "iss", "sub", "display", "email", "issuer_groups", "issuer_groups_at", "is_active",
        "created_at", "last_seen_at",
    )  # fmt: skip
    actions = ("deactivate", "reactivate", "sign_out")

    @admin.action(description="Deactivate, and end their sessions at once", permissions=["view"])
    def deactivate(self, request: HttpRequest, people: QuerySet[Person]) -> None:
        """Switch people off; nobody switches themselves off by mistake."""
        _each(request, people.exclude(pk=request.user.pk), deactivation.deactivate, "deactivated")

    @admin.action(description="Reactivate", permissions=["view"])
    def reactivate(self, request: HttpRequest, people: QuerySet[Person]) -> None:
        """Let people sign in again."""
        _each(request, people, deactivation.reactivate, "reactivated")

    @admin.action(description="End their sessions in all browsers", permissions=["view"])
    def sign_out(self, request: HttpRequest, people: QuerySet[Person]) -> None:
        """Sign people out everywhere; they may sign in again."""
        _each(request, people, deactivation.end_sessions, "signed out")


@admin.register(AccountLink)
class AccountLinkAdmin(ReadOnly):
    """Which accounts belong to whom. People link them; an admin lets go of those of somebody who left."""

    list_display = ("account", "holder", "display", "method", "made_at", "ended_at")
    list_filter = ("method",)
    search_fields = ("account", "holder", "display")
    fields = (*list_display, "made_by", "ended_by", "refuses_until")
    actions = ("end",)

    @admin.action(description="End the link; it goes on to refuse", permissions=["view"])
    def end(self, request: HttpRequest, links: QuerySet[AccountLink]) -> None:
        """Let go of accounts, so that they can be linked to somebody else."""
        _each(request, links.filter(ended_at=None), accounts.end, "ended")


@admin.register(Delegation)
class DelegationAdmin(ReadOnly):
    """Who decides in whose place."""

    list_display = ("delegator_display", "delegate_display", "starts_at", "ends_at", "revoked_at")
    search_fields = ("delegator", "delegate", "delegator_display", "delegate_display")
    fields = (*list_display, "delegator", "delegate", "made_at", "revoked_by")
    actions = ("end",)

    @admin.action(description="Revoke", permissions=["view"])
    def end(self, request: HttpRequest, delegations: QuerySet[Delegation]) -> None:
        """End delegations before their dates."""
        _each(request, delegations.filter(revoked_at=None), delegation.end, "revoked")


def _each(request: HttpRequest, people: QuerySet[Any], change: Callable[..., None], done: str) -> None:
    by = request.user.key if isinstance(request.user, Person) else ""
    try:
        for person in people:
            change(runtime(), person, by=by)
            messages.success(request, f"{person} is {done}.")
    except RecordUncertain:
        messages.warning(request, "It is not known yet whether everything was changed. Look at the list.")
    except RecordUnavailable as error:
        messages.error(request, f"Not everything was changed. {error}")
