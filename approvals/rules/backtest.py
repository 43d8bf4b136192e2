"""Judge recorded calls by another policy: what a rule would have done, before it is armed. Pure.

The record holds what was masked. A verdict that another content of the masked parts could change is `unknown`, and so
is one on a call whose request or caller was erased: nothing is guessed, and nothing is said to be allowed that may not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from approvals.policy import Policy
from approvals.rules.groups import local_groups
from approvals.verdicts import Allow, Block, Call, Caller, Hold, Verdict

UNKNOWN: Final = "unknown"
# What masking leaves (masking.spans): a label, a pseudonym, the last digits of a number.
_MASKED: Final = re.compile(r"\[[a-z0-9_-]*[a-z][a-z0-9_-]*(?::[^\]\s]{1,20})?\]|\*{4}[0-9A-Za-z]{0,4}")
# A text with half of a surrogate pair cannot be decided upon: `approvals.rules.folding.text_of`.
_ANYTHING: Final = "\ud800"
NIGHT: Final = (*range(20, 24), *range(7))  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """A recorded call: who, what (masked) and when, and the verdict of then; what was erased is None."""

    caller: Caller | None
    connection: str
    method: str
    name: str
    arguments: Any
    at: datetime
    was: str


@dataclass(slots=True)
class Report:
    """What came of it: counts of calls by verdict of then and now, by day, by rule, and the load on approvers."""

    calls: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict of then, verdict now)."""
    days: dict[str, Counter[str]] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule to its calls by verdict; rules in observe mode count as `would`."""
    load: dict[str, Counter[int]] = field(default_factory=dict)
    """Group that would be asked to calls by hour of the day, UTC."""
    first: datetime | None = None
    last: datetime | None = None

    @property
    def verdicts(self) -> Counter[str]:
        """Calls by the verdict now."""
        found: Counter[str] = Counter()
        for (_, now), count in self.changes.items():
            found[now] += count
        return found

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, as the command and the API give it."""
        return {
            "calls": self.calls,
            "from": self.first and self.first.isoformat(),
            "to": self.last and self.last.isoformat(),
            "verdicts": dict(self.verdicts),
            "changes": [{"was": was, "now": now, "calls": n} for (was, now), n in sorted(self.changes.items())],
            "days": {day: dict(counts) for day, counts in sorted(self.days.items())},
            "rules": {rule: dict(counts) for rule, counts in sorted(self.rules.items())},
            "load": {
                group: {
                    "asked": sum(hours.values()),
                    "at_night": sum(hours[hour] for hour in NIGHT),
                    "by_hour": [hours[hour] for hour in range(24)],
                }
                for group, hours in sorted(self.load.items())
            },
        }


class BackTest:
    """Judges past calls by one policy, each at the time it was made."""

    def __init__(self, policy: Policy) -> None:
        self._config = policy.config
        self._now = 0.0
        self._policy = Policy.compile(policy.config, clock=lambda: self._now)
        self.report = Report()

    def run(self, calls: Iterable[PastCall]) -> Report:
        """Judge them all and return the report."""
        for call in calls:
            self.add(call)
        return self.report

    def add(self, past: PastCall) -> None:
        """Judge one call and count it."""
        verdict = self.judge(past)
        now = UNKNOWN if verdict is None else word(verdict)
        report, day = self.report, past.at.date().isoformat()
        report.calls += 1
        report.first, report.last = report.first or past.at, past.at
        report.changes[past.was, now] += 1
        report.days.setdefault(day, Counter())[now] += 1
        if verdict is None:
            return
        for rule in verdict.rules:
            report.rules.setdefault(rule, Counter())[now] += 1
        for rule in verdict.observed:
            report.rules.setdefault(rule, Counter())["would"] += 1
        if isinstance(verdict, Hold):
            for group in verdict.terms.require.groups:
                report.load.setdefault(group, Counter())[past.at.hour] += 1

    def judge(self, past: PastCall) -> Verdict | None:
        """Return the verdict on a call at its time, or None where what is hidden could make it another."""
        self._now = past.at.timestamp()
        if past.caller is None or past.arguments is None:
            return None
        if not {name for name, _ in past.caller.claims}.issuperset(self._config.claims_asked):
            return None  # no rule looked at these claims then, so nobody wrote them down
        caller = self.standing(past.caller)
        call = Call(
            caller=caller, connection=past.connection, method=past.method, name=past.name, arguments=past.arguments
        )
        verdict = self._policy.judge(call)
        opened = _opened(past.arguments)
        if opened == past.arguments:
            return verdict
        other = self._policy.judge(
            Call(caller=caller, connection=past.connection, method=past.method, name=past.name, arguments=opened)
        )
        return verdict if (word(verdict), verdict.rules) == (word(other), other.rules) else None

    def standing(self, caller: Caller) -> Caller:
        """Return the caller in the local groups of this policy; the issuer's groups are those of then."""
        named = {group for group in caller.groups if "/" in group}
        kept = {group for group in caller.groups - named if group in self._config.groups}
        return caller.with_groups(frozenset(named | kept) | local_groups(self._config, caller))


def past_caller(said: Mapping[str, Any] | None, issuers: Mapping[str, str]) -> Caller | None:
    """Return the caller that a recorded session names; `issuers` leads from `iss` to the configured name."""
    if said is None or said.get("kind") not in ("person", "agent", "ci"):
        return None
    return Caller(
        iss=str(said.get("iss", "")),
        sub=str(said.get("sub", "")),
        kind=said["kind"],
        groups=frozenset(map(str, said.get("groups") or ())),
        issuer=issuers.get(str(said.get("iss", "")), ""),
        run=tuple((str(key), str(value)) for key, value in (said.get("run") or {}).items()),
        claims=tuple((str(name), tuple(map(str, texts))) for name, texts in (said.get("claims") or {}).items()),
    )


def _opened(value: Any) -> Any:
    """Return a value in which every masked part of a text could be anything."""
    if isinstance(value, str):
        return _MASKED.sub(_ANYTHING, value)
    if isinstance(value, dict):
        return {key: _opened(inner) for key, inner in value.items()}
    return [_opened(inner) for inner in value] if isinstance(value, list) else value


def word(verdict: Verdict) -> str:
    """Return what a verdict is called: allow, deny or hold."""
    match verdict:
        case Allow():
            return "allow"
        case Block():
            return "deny"
        case Hold():
            return "hold"


def told(report: Report, days: int) -> str:
    """Return a report in lines for people."""
    if not report.calls:
        return f"No calls were recorded in the last {days} day(s); there is nothing to judge."
    lines = [f"{report.calls} call(s) from {report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M} UTC"]
    for (was, now), count in sorted(report.changes.items()):
        change = f"would be {now}, as they were" if was == now else f"were {was}, would be {now}"
        lines.append(f"  {count:6} {change}")
    if unknown := report.verdicts[UNKNOWN]:
        lines.append(f"  ({unknown} unknown: what decides is masked or erased)")
    for rule, counts in sorted(report.rules.items()):
        lines.append(f"rule {rule}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    for group, hours in sorted(report.load.items()):
        busiest = max(hours.values())
        night = sum(hours[hour] for hour in NIGHT)
        lines.append(
            f"group {group}: asked {sum(hours.values())} time(s), {sum(hours.values()) / days:.1f} a day, "
            f"{night} at night, busiest hour of the day {busiest}"
        )
    return "\n".join(lines)
