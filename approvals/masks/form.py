"""The form on which masking is tried: a text, who reads it, and perhaps a detector that is not written down yet."""

from __future__ import annotations

from typing import Any

from django import forms
from pydantic import ValidationError

from approvals.config.detectors import CustomDetector
from approvals.config.problems import schema_problems
from approvals.masks.trial import VIEWS
from masking.custom import CHECKSUMS, LONGEST_PATTERN

LONGEST_TEXT = 200_000
NEW = "tried-here"
_LINE = {"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}


class MaskForm(forms.Form):
    """What is masked, and by what."""

    judged_by = forms.ChoiceField(
        label="By",
        choices=[("drafts", "the drafts as they stand"), ("force", "what is in force")],
        help_text="Nothing is stored, recorded or changed.",
    )
    text = forms.CharField(
        max_length=LONGEST_TEXT,
        strip=False,
        label="Text or JSON",
        widget=forms.Textarea(attrs={"rows": 8, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text="A message as a server would answer it, or any text.",
    )
    view = forms.ChoiceField(label="Seen by", choices=list(VIEWS.items()))
    connection = forms.CharField(
        required=False,
        max_length=63,
        widget=forms.TextInput(attrs=_LINE),
        help_text="Empty: of no connection, so that rules which name some do not govern.",
    )
    groups = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs=_LINE),
        help_text="Of the caller, separated by commas, as in support-leads, corp/engineering.",
    )
    pattern = forms.CharField(
        required=False,
        max_length=LONGEST_PATTERN,
        label="A new detector",
        strip=False,
        widget=forms.TextInput(attrs=_LINE),
        help_text=r"A pattern for RE2 that is not in the drafts yet, as in \bEMP-[0-9]{6}\b.",
    )
    checksum = forms.ChoiceField(
        required=False, label="Its check sum", choices=[("", "none"), *((c, c) for c in CHECKSUMS)]
    )
    names = forms.CharField(
        required=False,
        max_length=2000,
        label="Its names",
        widget=forms.TextInput(attrs=_LINE),
        help_text="Of members and columns whose value it hides, separated by commas.",
    )

    def clean_groups(self) -> frozenset[str]:
        """Read the names between the commas."""
        return frozenset(_between_commas(self.cleaned_data["groups"]))

    def clean(self) -> dict[str, Any]:
        """Make a detector of what is typed, or say why it is none."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("pattern"):
            if cleaned.get("checksum") or cleaned.get("names"):
                self.add_error("pattern", "A detector needs a pattern.")
            return cleaned
        try:
            cleaned["detector"] = detector_of(
                cleaned["pattern"], cleaned.get("checksum", ""), _between_commas(cleaned.get("names", ""))
            )
        except ValidationError as error:
            for location, reason in schema_problems(error):
                self.add_error(str(location[0]) if location[0] in self.fields else "pattern", f"The detector {reason}.")
        return cleaned


def detector_of(pattern: str, checksum: str, names: list[str]) -> CustomDetector:
    """Return a detector that is tried and nowhere written down. Raises pydantic's ValidationError."""
    body = {"name": NEW, "pattern": pattern, "checksum": checksum or None, "names": names}
    return CustomDetector.model_validate(body)


def _between_commas(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
