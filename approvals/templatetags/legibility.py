"""Filters that put untrusted text and moments on a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import yaml
from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from approvals.legible import Piece, pieces
from approvals.pages.cards import STANDINGS
from approvals.pages.entry_words import ENTRIES
from approvals.states import Status

register = template.Library()


@register.filter
def shown(found: Iterable[Piece]) -> SafeString:
    """Render pieces of legible text, the conspicuous ones marked and explained."""
    return format_html_join("", "{}", ((_piece(piece),) for piece in found))


def _piece(piece: Piece) -> str | SafeString:
    if piece.hit:
        return format_html('<mark class="hit">{}</mark>', _piece(replace(piece, hit=False)))
    if piece.kind == "plain":
        return piece.text
    if piece.note:
        return format_html('<span class="{}" title="{}">{}</span>', piece.kind, piece.note, piece.text)
    return format_html('<span class="{}">{}</span>', piece.kind, piece.text)


@register.filter
def legible(text: object) -> SafeString:
    """Render text of somebody outside so that nothing in it is invisible or pretends to be something else."""
    return shown(pieces(str(text)))


@register.filter
def label_of(status: str) -> str:
    """Return what a status is called on pages."""
    return STANDINGS[Status(status)][1]


@register.filter
def filter_name(name: str) -> str:
    """Return what a filter of a list is called."""
    return {"q": "search", "since": "from", "until": "before", "exposed": "shown unmasked"}.get(name, name)


@register.filter
def tone_of_verdict(verdict: str) -> str:
    """Return how a verdict looks."""
    return {"allow": "go", "hold": "wait", "deny": "stop", "refused": "stop"}.get(verdict, "")


@register.filter
def thousands(number: int) -> str:
    """Write a number with commas."""
    return f"{number:,}"


@register.filter
def hex(value: bytes) -> str:
    """Write bytes in hexadecimal digits."""
    return bytes(value).hex()


@register.filter
def entry_in_words(kind: str) -> str:
    """Return what an entry of the record means."""
    return ENTRIES.get(kind, ("", kind))[1]


@register.filter
def tone_of_entry(kind: str) -> str:
    """Return how an entry of the record looks."""
    return ENTRIES.get(kind, ("", kind))[0]


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Render a moment in UTC, to the minute."""
    if at is None:
        return ""
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{}</time>', utc.isoformat(timespec="seconds"), f"{utc:%-d %b %Y, %H:%M} UTC"
    )


@register.filter
def instant(at: datetime) -> str:
    """Render the time of a moment in UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3] + " UTC"


@register.filter
def duration(seconds: float) -> str:
    """Say a number of seconds as people do: 45 s, 10 min, 1 h 30 min, 2 days."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{rest} s"


@register.filter
def rule_text(rule: object) -> str:
    """Return a rule's body as it stands in holdgate.yaml."""
    return yaml.safe_dump([rule], sort_keys=False, allow_unicode=True, width=100)
