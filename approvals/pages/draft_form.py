"""The form of one draft: YAML in, checked by the schema of holdgate.yaml together with all other drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from django import forms

from approvals.config.loader import ConfigError
from approvals.config.reading import read
from approvals.drafts import with_draft
from approvals.models import ConfigItem
from approvals.runtime import runtime
from approvals.stdio_commands import require_same

if TYPE_CHECKING:
    _Form = forms.ModelForm[ConfigItem]
else:
    _Form = forms.ModelForm  # generic for the type checker only

# Entries of these kinds stand under their name in the file; the others carry it inside.
MAPPINGS = frozenset({ConfigItem.Kind.GROUP, ConfigItem.Kind.CONNECTION, ConfigItem.Kind.ROLE, ConfigItem.Kind.CHANNEL})


class DraftForm(_Form):
    """Shows the body as the text that stands under the entry's name in holdgate.yaml."""

    text = forms.CharField(
        label="Body",
        widget=forms.Textarea(attrs={"rows": 24, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text="In the language of holdgate.yaml. The name is the field above.",
    )

    class Meta:
        model = ConfigItem
        fields = ("kind", "name", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "text" in self.fields:
            self.fields["text"].initial = yaml_of(self.instance)

    def clean(self) -> dict[str, Any]:
        """Read the text and check the whole. Problems of this entry are errors, all of them at once."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind") or self.instance.kind
        name = cleaned.get("name") or self.instance.name
        if "text" not in cleaned or not kind or not name:
            return cleaned
        found = read(cleaned["text"] or "{}")
        if found.problems:
            self.add_error("text", [str(problem) for problem in found.problems])
            return cleaned
        body = self.whole(found.data)
        if kind not in MAPPINGS and isinstance(body, dict):
            body = {"name": name, **{key: value for key, value in body.items() if key != "name"}}
        self.instance.body = body
        for key, reason in _problems(kind, name, body, enabled=cleaned.get("enabled", True)):
            self.add_error(self.place_of(key), f"{kind}.{name}{'.' if key else ''}{key}: {reason}")
        return cleaned

    def whole(self, data: Any) -> Any:
        """Return the body that the form's text and its other fields make."""
        return data

    def place_of(self, key: str) -> str:
        """Return the field at which a problem is told, by its key within the entry."""
        return "text"


def yaml_of(item: ConfigItem) -> str:
    """Return the body as YAML, without the name that stands in a field of its own."""
    return yaml.safe_dump(nameless(item), sort_keys=False, allow_unicode=True, width=100)


def nameless(item: ConfigItem) -> Any:
    """Return the body without the name."""
    if item.kind not in MAPPINGS and isinstance(item.body, dict):
        return {key: value for key, value in item.body.items() if key != "name"}
    return item.body


def _problems(kind: str, name: str, body: Any, *, enabled: bool) -> list[tuple[str, str]]:
    """Return key within the entry and reason of what is wrong with it.

    What is wrong with others is told when they are published.
    """
    try:
        require_same(runtime().policies.reload().policy.config, with_draft(kind, name, body, enabled=enabled))
    except ConfigError as error:
        own = f"{kind}.{name}"
        return [
            (problem.key[len(own) :].removeprefix("."), problem.reason)
            for problem in error.problems
            if problem.key == own or problem.key.startswith((f"{own}.", f"{own}["))
        ]
    return []
