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
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals.config.document import diff, dump, parse_document
from approvals.config.loader import ConfigError
from approvals.draft_form import DraftForm
from approvals.drafts import config_from_drafts
from approvals.models import ApprovalRequest, ConfigItem, Person, PolicyRevision, Vote
from approvals.publication import RevisionConflict, publish
from approvals.revision_diff import Difference, differences
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    _Items = admin.ModelAdmin[ConfigItem]
    _Anything = admin.ModelAdmin[Any]
    _Votes = admin.TabularInline[Vote, ApprovalRequest]
else:  # generic for the type checker only
    _Items = _Anything = admin.ModelAdmin
    _Votes = admin.TabularInline

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
        """Add the page that publishes."""
        own = path("publish/", self.admin_site.admin_view(self.publish_view), name="approvals_publish")
        return [own, *super().get_urls()]

    def publish_view(self, request: HttpRequest) -> HttpResponse:
        """Show what the drafts would change, and bring them into force."""
        if not self.has_change_permission(request):
            return render(request, "403.html", status=403)
        house = runtime()
        current = house.policies.reload().policy
        problems: list[str] = []
        found: list[Difference] = []
        try:
            found = differences(diff(current.config, config_from_drafts()))
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
        if request.method == "POST" and not problems:
            return self._publish(request)
        context = self.admin_site.each_context(request) | {
            "title": "Publish the drafts",
            "revision": current.revision,
            "differences": found,
            "problems": problems,
            "opts": self.opts,
        }
        return render(request, "admin/approvals/publish.html", context, status=400 if problems else 200)

    def _publish(self, request: HttpRequest) -> HttpResponse:
        house, shown = runtime(), request.POST.get("revision", "")
        author = request.user.key if isinstance(request.user, Person) else ""
        try:
            # The drafts are read again inside the transaction that publishes them.
            published = publish(
                house.journal,
                house.policies,
                config_from_drafts,
                author=author,
                expected=int(shown) if shown.isdecimal() else -1,
            )
        except RevisionConflict:
            messages.error(request, "Somebody else published in the meantime. Look at the differences again.")
            return redirect("admin:approvals_publish")
        except (ConfigError, RecordUnavailable) as error:
            messages.error(request, f"Nothing was published. {error}")
            return redirect("admin:approvals_publish")
        messages.success(request, f"Revision {published.revision} is in force, for the very next call.")
        return redirect("admin:approvals_configitem_changelist")


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

    list_display = ("number", "author", "created_at", "digest")
    fields = ("number", "author", "created_at", "digest", "source_digest", "as_yaml")

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
