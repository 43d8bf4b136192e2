"""The form of a rule's draft: fields for what most rules say, and the rest in the language of holdgate.yaml."""

from __future__ import annotations

from typing import Any

import yaml
from django import forms

from approvals.config.identity import KINDS
from approvals.pages.draft_form import DraftForm, nameless
from approvals.pages.rule_fields import LINES, WORDS, field_of, joined, split

FIELDSETS: tuple[tuple[str | None, tuple[str, ...], str], ...] = (
    (None, ("kind", "name", "enabled", "action", "mode", "message"), ""),
    (
        "Which calls",
        ("connections", "tools", "groups", "kinds"),
        "All that is filled in must hold; of a list any line is enough. Conditions on arguments, labels, times and "
        "exceptions stand in the last field.",
    ),
    (
        "Who decides",
        ("approvers", "count", "expires_after", "comment", "reason", "notify"),
        "For rules that hold. Nobody decides their own call.",
    ),
    ("Everything else", ("text",), ""),
)


def _one(label: str, choices: tuple[str, ...], usual: str, help_text: str) -> forms.ChoiceField:
    """Return a choice of which none means the usual."""
    options = [("", f"as usual: {usual}" if usual else "choose"), *((choice, choice) for choice in choices)]
    return forms.ChoiceField(label=label, choices=options, required=False, help_text=help_text)


def _lines(label: str, help_text: str, rows: int = 2) -> forms.CharField:
    area = forms.Textarea(attrs={"rows": rows, "class": "vLargeTextField", "spellcheck": "false"})
    return forms.CharField(label=label, widget=area, required=False, help_text=help_text)


class RuleForm(DraftForm):
    """Joins its fields with the rest to one entry, and tells problems at the field they are about."""

    action = _one("Action", ("deny", "hold", "allow"), "", "Of all rules that match, deny beats hold beats allow.")
    mode = _one(
        "Mode", ("enforce", "observe"), "enforce", "One that observes stops nothing; the back-test tells what it would."
    )
    message = _lines("Message", "What the caller is told, and approvers read.")
    connections = _lines("Connections", "Names, one a line; * and ? are allowed. Empty: all.")
    tools = _lines("Tools", "Names, one a line; * and ? are allowed. Empty: all.", rows=3)
    groups = _lines("Callers in the groups", "One a line, as in corp/engineering; any is enough. Empty: all callers.")
    kinds = _lines("Kinds of callers", f"Any of {', '.join(KINDS)}, one a line. Empty: all.")
    approvers = _lines("Approvers", "Groups whose members may decide, one a line.")
    count = forms.CharField(
        label="How many", max_length=9, required=False, help_text="Distinct people who must approve. Empty: one."
    )
    expires_after = forms.CharField(
        label="Expires after", max_length=20, required=False, help_text="As in 45s, 30m, 1h or 1d. Empty: 30m."
    )
    comment = _one(
        "Comment", ("optional", "required_on_deny", "required"), "required_on_deny", "What approvers must write."
    )
    reason = _one("Reason", ("optional", "required"), "optional", "Whether callers must say why they ask.")
    notify = _lines("Notify", "Routes on which people are told, one a line, as in slack: #dba-approvals.")
    text = forms.CharField(
        label="The rest",
        widget=forms.Textarea(attrs={"rows": 12, "class": "vLargeTextField", "spellcheck": "false"}),
        required=False,
        help_text="In the language of holdgate.yaml, without what stands in the fields above: "
        "match with arguments, labels, time and hints; unless; approval with escalate, remember and more.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "text" in self.fields:
            found, rest = split(nameless(self.instance))
            for name, value in found.items():
                self.fields[name].initial = value
            self.fields["text"].initial = yaml.safe_dump(rest, sort_keys=False, allow_unicode=True) if rest else ""

    def whole(self, data: Any) -> Any:
        """Return the rest with what the fields hold put in."""
        names = (*WORDS, *LINES, "notify", "approvers", "count")
        fields = {name: self.cleaned_data.get(name, "").replace("\r\n", "\n") for name in names}
        body, problems = joined(fields, data)
        for name, reason in problems:
            self.add_error(name, reason)
        return body

    def place_of(self, key: str) -> str:
        return field_of(key)
