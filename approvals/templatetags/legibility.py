"""Filters that put untrusted text and moments on a page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from approvals.legible import Piece, pieces

register = template.Library()


@register.filter
def shown(found: Iterable[Piece]) -> SafeString:
    """Render pieces of legible text, the conspicuous ones marked and explained."""
    return format_html_join("", "{}", ((_piece(piece),) for piece in found))


def _piece(piece: Piece) -> str | SafeString:
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
