"""The form of a back-test: how far back, and on which connection."""

from __future__ import annotations

from django import forms

MOST_DAYS = 90


class BackTestForm(forms.Form):
    """Days of recorded calls, of one connection or of all."""

    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=7, label="Days", help_text=f"How far back, at most {MOST_DAYS}."
    )
    connection = forms.CharField(
        required=False,
        max_length=63,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Only calls of this connection. Empty: of all.",
    )
