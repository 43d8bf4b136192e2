"""The form of a call to be tried: typed by hand, or one that was recorded."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from approvals.config.identity import KINDS
from approvals.config.rules import METHODS

MAX_ARGUMENTS = 200_000
_TEXT = {"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}


class TryForm(forms.Form):
    """What is called, and by whom. With `recorded` nothing else is needed."""

    judged_by = forms.ChoiceField(
        label="Judge by",
        choices=[("drafts", "the drafts as they stand"), ("force", "what is in force")],
        help_text="Nothing is forwarded, recorded or changed.",
    )
    rule = forms.CharField(
        required=False,
        max_length=63,
        label="Only this rule",
        widget=forms.TextInput(attrs=_TEXT),
        help_text="Its name. Empty: tell of all rules. The verdict is always that of all of them.",
    )
    recorded = forms.CharField(
        required=False,
        max_length=64,
        label="Recorded call",
        widget=forms.TextInput(attrs=_TEXT),
        help_text="The id of a call, as its answer and its session name it. Then the fields below are not read.",
    )
    connection = forms.CharField(required=False, max_length=63, widget=forms.TextInput(attrs=_TEXT))
    method = forms.ChoiceField(required=False, choices=[(method, method) for method in METHODS])
    name = forms.CharField(
        required=False,
        max_length=2000,
        label="Tool",
        widget=forms.TextInput(attrs=_TEXT),
        help_text="Or the address of a resource, or the name of a prompt.",
    )
    arguments = forms.CharField(
        required=False,
        max_length=MAX_ARGUMENTS,
        initial="{}",
        widget=forms.Textarea(attrs={"rows": 8, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text="As JSON.",
    )
    who = forms.CharField(
        required=False,
        max_length=1000,
        label="As whom",
        widget=forms.TextInput(attrs=_TEXT),
        help_text="E-mail or name of a person who signed in before, or iss|sub. Empty: nobody in particular.",
    )
    groups = forms.CharField(
        required=False,
        max_length=2000,
        label="Also in the groups",
        widget=forms.TextInput(attrs=_TEXT),
        help_text="Separated by commas, as in dba, corp/engineering.",
    )
    kind = forms.ChoiceField(required=False, label="Kind of caller", choices=[(kind, kind) for kind in KINDS])

    def clean_arguments(self) -> Any:
        """Read the JSON. Says where it breaks."""
        text = self.cleaned_data["arguments"] or "{}"
        try:
            return json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply to be read.") from None
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}") from error

    def clean_groups(self) -> frozenset[str]:
        """Read the names between the commas."""
        return frozenset(name.strip() for name in self.cleaned_data["groups"].split(",") if name.strip())

    def clean(self) -> dict[str, Any]:
        """Ask for a connection and a name where no recorded call is named."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("recorded"):
            for key, what in (("connection", "a connection"), ("name", "a tool")):
                if key in cleaned and not cleaned[key]:
                    self.add_error(key, f"Name {what}, or a recorded call above.")
        return cleaned


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
