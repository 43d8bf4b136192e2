"""What a change of the configuration loosens: calls that may pass, people who may decide, values that are seen. Pure.

It errs on the side of telling: what may loosen, and what cannot be told from the texts alone, is told as a maybe.
Rules and masking are compared as they are in force, those of packs included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from approvals.rules.loosened import Said, decision, rule

if TYPE_CHECKING:
    from approvals.config.channels import Channels
    from approvals.config.connections import Access, Connection, Rate
    from approvals.config.detectors import CustomDetector
    from approvals.config.identity import Group, Issuer, Person
    from approvals.config.masking import Masking
    from approvals.config.schema import Config

_STRICTNESS = ("allow", "hold", "deny")
# What may change without giving anybody anything.
_HARMLESS = frozenset({"description", "notify", "wait", "timeout", "max_body", "max_answer"})
_COMPARED = frozenset(
    {"default", "mode", "observe_until", "access", "rate", "default_approval", "access_requests", "pin_tools"}
    | {"server_requests"}
)


@dataclass(frozen=True, slots=True, order=True)
class Loosening:
    """One thing that is looser: where, as `rules.NAME`; what, in words without values; and whether that is certain."""

    where: str
    says: str
    is_certain: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {'' if self.is_certain else 'maybe: '}{self.says}"


def loosenings(old: Config, new: Config) -> list[Loosening]:
    """Return what the new configuration loosens, by place."""
    was, now = old.in_force, new.in_force
    defaults = {found.default for found in (*was.connections.values(), *now.connections.values())}
    rules_were, rules_are = _by_name(was.rules), _by_name(now.rules)
    found: list[Loosening] = []
    for name in rules_were.keys() | rules_are.keys():
        found += _at(f"rules.{name}", rule(rules_were.get(name), rules_are.get(name), defaults))
    for name, connection in now.connections.items():
        found += _at(f"connections.{name}", _connection(was.connections.get(name), connection))
    masks_are = _by_name(now.masking)
    for name, mask in _by_name(was.masking).items():
        found += _at(f"masking.{name}", _masking(mask, masks_are.get(name)))
    found += _detectors(was, now)
    addressed = _addressed(was)
    for name in was.groups.keys() | now.groups.keys():
        said = _group(was.groups.get(name), now.groups.get(name), is_addressed=name in addressed)
        found += _at(f"groups.{name}", said)
    people_are = _by_name(now.people)
    people_were = _by_name(was.people)
    for name in people_were.keys() | people_are.keys():
        found += _at("people", _person(people_were.get(name), people_are.get(name)))
    issuers_were = _by_name(was.issuers)
    for issuer in now.issuers:
        found += _at(f"issuers.{issuer.name}", _issuer(issuers_were.get(issuer.name), issuer))
    for role in ("admin", "auditor", "operator"):
        if set(getattr(now.roles, role)) - set(getattr(was.roles, role)):
            found.append(Loosening(f"roles.{role}", "more groups have it"))
    found += _channels(was.channels, now.channels)
    return sorted(set(found))


def _channels(was: Channels, now: Channels) -> Iterator[Loosening]:
    if set(was.alerts) - set(now.alerts):
        yield Loosening("channels.alerts", "fewer hear of what loosens")
    if now != was:
        yield Loosening("channels", "people are reached, and may decide, elsewhere", is_certain=False)


def _at(where: str, said: Iterable[Said]) -> list[Loosening]:
    return [Loosening(where, says, is_certain) for says, is_certain in said]


def _by_name(items: Iterable[Any]) -> dict[str, Any]:
    return {item.name: item for item in items}


def _addressed(config: Config) -> frozenset[str]:
    """Return the groups that rules name: who leaves one may be stopped no more, or be no exception any more."""
    clauses = [clause for one in config.rules for clause in (one.match, *(one.unless or ()))]
    callers = [clause.callers for clause in clauses if clause.callers is not None]
    return frozenset(group for one in callers for group in (*(one.groups or ()), *(one.not_groups or ())))


def _connection(was: Connection | None, now: Connection) -> Iterator[Said]:
    if was is None:
        yield "a further server can be reached", False
        return
    if _STRICTNESS.index(now.default) < _STRICTNESS.index(was.default):
        yield f"the default {was.default} became {now.default}", True
    if now.mode == "observe" and (was.mode, was.observe_until) != (now.mode, now.observe_until):
        yield "it only observes" if was.mode != "observe" else "it observes until another time", True
    if any(not any(_covers(old, entry) for old in was.access) for entry in now.access):
        yield "more may use it (access)", True
    if was.pin_tools and not now.pin_tools:
        yield "its tools are not pinned any more (pin_tools)", True
    if set(now.server_requests) - set(was.server_requests):
        yield "its server may ask callers for more (server_requests)", True
    yield from _rates(was.rate, now.rate)
    yield from _terms(was.default_approval, now.default_approval, "default_approval")
    if was.access_requests is None and now.access_requests is not None:
        yield "access can be asked for (access_requests)", True
    else:
        yield from _terms(was.access_requests, now.access_requests, "access_requests")
    for key in sorted(type(now).model_fields.keys() - _HARMLESS - _COMPARED):
        if getattr(was, key) != getattr(now, key):
            yield f"{key} is another", False


def _terms(was: Any, now: Any, key: str) -> Iterator[Said]:
    if was is not None and now is not None:
        yield from ((f"{key}: {says}", is_certain) for says, is_certain in decision(was, now))


def _covers(old: Access, new: Access) -> bool:
    kinds = old.kinds is None or (new.kinds is not None and set(new.kinds) <= set(old.kinds))
    tools = "*" in old.tools or set(new.tools) <= set(old.tools)
    return kinds and tools and set(new.groups) <= set(old.groups)


def _rates(was: Sequence[Rate], now: Sequence[Rate]) -> Iterator[Said]:
    for old in was:
        if not any(new.by == old.by and new.calls <= old.calls and new.per >= old.per for new in now):
            yield f"its rate by {old.by} is gone or higher", True


def _masking(was: Masking, now: Masking | None) -> Iterator[Said]:
    if now is None:
        yield "is removed", True
        return
    for key in ("detectors", "fields"):
        if set(getattr(was, key)) - set(getattr(now, key)):
            yield f"hides less ({key})", True
    if now.connections and not (was.connections and set(was.connections) <= set(now.connections)):
        yield "hides on fewer connections", True
    if set(now.except_groups) - set(was.except_groups):
        yield "more groups see what it hides", True
    if now.replace not in (was.replace, "remove"):
        yield "hides in another way (replace)", False


def _detectors(was: Config, now: Config) -> Iterator[Loosening]:
    # One that is gone is named by nothing any more, and what no longer names it is looser itself.
    are = _by_name(now.detectors)
    for detector in was.detectors:
        if detector.name in are:
            yield from _at(f"detectors.{detector.name}", _detector(detector, are[detector.name]))


def _detector(was: CustomDetector, now: CustomDetector) -> Iterator[Said]:
    if was.pattern != now.pattern:
        yield "has another pattern", False
    if now.checksum not in (None, was.checksum):
        yield f"finds only what has the check sum {now.checksum}", True
    if set(was.names) - set(now.names):
        yield "knows fewer names", True


def _group(was: Group | None, now: Group | None, *, is_addressed: bool) -> Iterator[Said]:
    old, new = set(was.members if was else ()), set(now.members if now else ())
    if new - old:
        yield "has more members", was is not None
    if is_addressed and old - new:
        yield "has fewer members, and rules name it", False


def _person(was: Person | None, now: Person | None) -> Iterator[Said]:
    old, new = set(was.accounts if was else ()), set(now.accounts if now else ())
    if old - new:
        yield "accounts are not known to be one human being any more", True
    if new - old:
        yield "further accounts share the rights of one human being", False


def _issuer(was: Issuer | None, now: Issuer) -> Iterator[Said]:
    if was is None:
        yield "its callers are let in", True
        return
    for key in ("login", "trust_email"):
        if getattr(now, key) and not getattr(was, key):
            yield f"{key} is true", True
    if was.strict_audience and not now.strict_audience:
        yield "strict_audience is false", True
    for key in ("audiences", "algorithms"):
        if set(getattr(now, key)) - set(getattr(was, key)):
            yield f"takes more {key}", True
    told = {"login", "trust_email", "strict_audience", "audiences", "algorithms"}
    for key in sorted(type(now).model_fields.keys() - told):
        if getattr(was, key) != getattr(now, key):
            yield f"{key} is another", False
