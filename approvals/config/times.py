"""When a rule speaks: days of the week, hours of the day, and spans of dates, in one time zone."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from approvals.config.values import Line, Strict, distinct, one_or_more, problem, shown

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise problem(f"{shown(value)} is no time zone; write one of the IANA names, as in Europe/Berlin") from None
    return value


def _clock(value: str) -> str:
    try:
        if len(value) != 5:
            raise ValueError
        datetime.time.fromisoformat(value)
    except ValueError:
        raise problem("must be a time of day such as 08:00 or 22:30") from None
    return value


def _moment(value: str) -> str:
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise problem("must be a date such as 2026-12-20, or a local time such as 2026-12-20T18:00") from None
    if found.tzinfo is not None:
        raise problem("must have no offset; it is in the zone of the block")
    return value


def _one_block(value: object) -> object:
    """Take a single block for a list of one."""
    return [value] if isinstance(value, dict) else value


class Hours(Strict):
    """From a time of day to another, the second not included; across midnight where the second is not later."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    after: Annotated[Line, AfterValidator(_clock)] = Field(alias="from")
    until: Annotated[Line, AfterValidator(_clock)]

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if self.after == self.until:
            raise problem("begins when it ends; leave hours out for the whole day")
        return self

    def hold(self, now: datetime.time) -> bool:
        """Tell whether a time of day lies within."""
        first, end = datetime.time.fromisoformat(self.after), datetime.time.fromisoformat(self.until)
        return first <= now < end if first < end else now >= first or now < end


class Span(Strict):
    """From a local date or time to another, the second not included."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    after: Annotated[Line, AfterValidator(_moment)] = Field(alias="from")
    until: Annotated[Line, AfterValidator(_moment)]

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if datetime.datetime.fromisoformat(self.after) >= datetime.datetime.fromisoformat(self.until):
            raise problem("ends before it begins")
        return self

    def holds(self, now: datetime.datetime) -> bool:
        """Tell whether a local moment, given without an offset, lies within."""
        return datetime.datetime.fromisoformat(self.after) <= now < datetime.datetime.fromisoformat(self.until)


class Time(Strict):
    """All that is said must hold of the moment of the call, in this zone; of a list any entry is enough."""

    zone: Annotated[Line, AfterValidator(_zone)]
    days: (
        Annotated[tuple[Day, ...], BeforeValidator(one_or_more), Field(min_length=1), AfterValidator(distinct("day"))]
        | None
    ) = None
    hours: Annotated[tuple[Hours, ...], BeforeValidator(_one_block), Field(min_length=1)] | None = None
    dates: Annotated[tuple[Span, ...], BeforeValidator(_one_block), Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.days is None and self.hours is None and self.dates is None:
            raise problem("must say something: days, hours or dates")
        return self

    def holds(self, now: datetime.datetime) -> bool:
        """Tell whether a moment, given with its offset, lies within; days and hours are those of the zone."""
        local = now.astimezone(zoneinfo.ZoneInfo(self.zone)).replace(tzinfo=None)
        return (
            (self.days is None or DAYS[local.weekday()] in self.days)
            and (self.hours is None or any(hours.hold(local.time()) for hours in self.hours))
            and (self.dates is None or any(span.holds(local) for span in self.dates))
        )
