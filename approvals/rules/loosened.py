"""What a changed rule, and the changed terms of a decision, loosen. Pure; see `loosening`."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from approvals.config.rules import AccessRequests, Approval, Match, Require, Rule

Said = tuple[str, bool]
"""What is looser, in words, and whether that is certain."""

_STRICTNESS = ("allow", "hold", "deny")
_LISTS = ("connections", "tools", "resources", "prompts")
_WHOLE = ("labels", "callers", "time", "hints")
# From loose to strict.
_ORDERED = {
    "comment": ("optional", "required_on_deny", "required"),
    "reason": ("optional", "required"),
    "mfa": ("optional", "required"),
    "delegation": ("allowed", "forbidden"),
}


def rule(was: Rule | None, now: Rule | None, defaults: Set[str]) -> Iterator[Said]:
    """Yield what is looser about one rule; None where it is not there. `defaults` are those of the connections."""
    spoke = was is not None and was.mode == "enforce"
    speaks = now is not None and now.mode == "enforce"
    if not spoke:
        if now is not None and speaks:
            yield from _begins(now, defaults)
    elif was is not None and not speaks:
        if was.action != "allow":
            yield "is removed" if now is None else "only observes", True
    elif was is not None and now is not None:
        yield from _changed(was, now, defaults)


def _begins(now: Rule, defaults: Set[str]) -> Iterator[Said]:
    """A rule that allows or holds stands before a default that is as strict or stricter."""
    if now.action == "allow" and defaults - {"allow"}:
        yield "allows what a default would stop", False
    if now.action == "hold" and "deny" in defaults:
        yield "holds what a default would deny", False
    if now.action == "hold" and "hold" in defaults:
        yield "holds on its own terms what a default would hold", False


def _changed(was: Rule, now: Rule, defaults: Set[str]) -> Iterator[Said]:
    if _STRICTNESS.index(now.action) < _STRICTNESS.index(was.action):
        yield f"{was.action} became {now.action}", True
    if was.match != now.match:
        yield from _speaks_of(was.match, now.match, now.action, defaults)
    stops = now.action != "allow"
    gone, new = _of(was.unless, now.unless), _of(now.unless, was.unless)
    if new and stops:
        yield "has further exceptions (unless)", not gone
    if gone and not stops:
        yield "has fewer exceptions (unless)", not new
    if was.approval is not None and now.approval is not None:
        yield from decision(was.approval, now.approval)


def _of(these: Any, without: Any) -> list[Any]:
    return [one for one in these or () if one not in (without or ())]


def _speaks_of(was: Match, now: Match, action: str, defaults: Set[str]) -> Iterator[Said]:
    wider, narrower = _is_wider(was, now), _is_wider(now, was)
    if action == "allow":
        if not narrower:
            yield "allows more or other calls", wider
        return
    if not wider:
        yield "stops fewer or other calls", narrower
    elif action == "hold" and defaults - {"allow"}:
        yield "holds more calls, which a default may have stopped", False


def _is_wider(was: Match, now: Match) -> bool:
    """Say whether every call that fitted fits still; in doubt not."""
    if not set(was.methods or ("tools/call",)) <= set(now.methods or ("tools/call",)):
        return False
    for key in _LISTS:
        old, new = getattr(was, key), getattr(now, key)
        if new is not None and "*" not in new and (old is None or not set(old) <= set(new)):
            return False
        if new is not None and old is None:
            return False
    if any(getattr(now, key) not in (None, getattr(was, key)) for key in _WHOLE):
        return False
    return not _of(now.arguments, was.arguments)


def decision(was: Approval | AccessRequests, now: Approval | AccessRequests) -> Iterator[Said]:
    """Yield what is looser about the terms on which people decide."""
    yield from _quorum(was.require, now.require)
    for key, order in _ORDERED.items():
        old, new = getattr(was, key, order[0]), getattr(now, key, order[0])
        if order.index(new) < order.index(old):
            yield f"{key} is {new}", True
    for key in ("collect_within", "max_duration", "expires_after"):
        if getattr(now, key, 0) > getattr(was, key, 0):
            yield f"{key} is longer", True
    if set(now.decide_in) - set(was.decide_in):
        yield "people may decide in more ways (decide_in)", True
    if set(getattr(now, "reveal_to", None) or ()) - set(getattr(was, "reveal_to", None) or ()):
        yield "more approvers may see what is hidden (reveal_to)", True
    for key in ("remember", "break_glass", "escalate"):
        old, new = getattr(was, key, None), getattr(now, key, None)
        if new is not None and new != old:
            yield f"{key} is {'there' if old is None else 'another'}", old is None


def _quorum(was: Require, now: Require) -> Iterator[Said]:
    if was == now:
        return
    old, new = was.places, now.places
    if (was.any_of is None) != (now.any_of is None) and max(len(old), len(new)) > 1:
        yield "other people must approve (require)", False
        return
    if was.all_of is not None and len(new) < len(old):
        yield "fewer people must approve (require)", True
        return
    if was.any_of is not None and len(new) > len(old):
        yield "there are more ways to approve (require)", True
        return
    if len(old) != len(new):  # a place more in all_of, an alternative less in any_of
        if [place for place in (old if was.all_of is not None else new) if place not in (new if was.all_of else old)]:
            yield "other people must approve (require)", False
        return
    for before, after in zip(old, new, strict=True):
        if after.count < before.count:
            yield "fewer people must approve (require)", True
        if more := set(after.groups) - set(before.groups):
            yield "more groups may approve (require)", bool(more) and set(before.groups) <= set(after.groups)
