"""Who must decide, and whether the votes so far are enough. Pure: no person is looked up here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from approvals.config.rules import Place, Require
from approvals.rules.timetable import Escalation


@dataclass(frozen=True, slots=True)
class Quorum:
    """What the rules that hold a call require: each part must be met, one part for each rule.

    A person may serve several parts, for each rule asks on its own; within an `all_of` they fill one place.
    """

    parts: tuple[Require, ...]

    @property
    def groups(self) -> frozenset[str]:
        """Every group whose members may vote."""
        return frozenset(group for part in self.parts for place in part.places for group in place.groups)

    @property
    def sentence(self) -> str:
        """Say who must decide: `1 of dba or 2 of security`; of several rules each."""
        return "; and ".join(map(_sentence, self.parts))

    def eligible(self, groups: Collection[str]) -> bool:
        """Tell whether a person in these groups may vote at all."""
        return not self.groups.isdisjoint(groups)

    def met(self, voters: Sequence[Collection[str]]) -> bool:
        """Tell whether distinct people who approved, each given by the groups they are in now, are enough."""
        return bool(self.parts) and all(_part_met(part, voters) for part in self.parts)

    def widened(self, added: Iterable[Escalation]) -> Quorum:
        """Return the quorum after these escalations: their groups may serve in every alternative of their part."""
        more: dict[int, list[str]] = {}
        for step in added:
            more.setdefault(step.part, []).extend(step.groups)
        return Quorum(tuple(_widened(part, more.get(index, [])) for index, part in enumerate(self.parts)))

    def document(self) -> dict[str, Any]:
        """Return the JSON form: that of the configuration for one rule, `{"each": [...]}` for several."""
        parts = [part.model_dump(mode="json", exclude_none=True) for part in self.parts]
        return parts[0] if len(parts) == 1 else {"each": parts}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the quorum of a JSON form made by `document()`. Raises ValueError for anything else."""
        parts = document.get("each", [document])
        return cls(tuple(Require.model_validate(part) for part in parts))


def quorum_met(require: Quorum | Mapping[str, Any], voters: Sequence[Collection[str]]) -> bool:
    """Tell whether these approving people, one entry of groups for each, are enough. See `Quorum.met`.

    Takes the JSON form too, as it stands in a stored request.
    """
    return _quorum(require).met(voters)


def required_groups(require: Quorum | Mapping[str, Any]) -> frozenset[str]:
    """Return every group whose members may vote; takes the JSON form too."""
    return _quorum(require).groups


def _quorum(require: Quorum | Mapping[str, Any]) -> Quorum:
    return require if isinstance(require, Quorum) else Quorum.parse(require)


def _widened(require: Require, groups: Sequence[str]) -> Require:
    if not groups:
        return require

    def wider(places: Sequence[Place]) -> tuple[Place, ...]:
        return tuple(place.model_copy(update={"groups": _joined(place.groups, groups)}) for place in places)

    if require.any_of is not None:
        return Require(any_of=wider(require.any_of))
    return Require(all_of=wider(require.all_of or ()))


def _joined(groups: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*groups, *more)))


def _sentence(require: Require) -> str:
    joint = " or " if require.any_of is not None else " and "
    return joint.join(f"{place.count} of {', '.join(place.groups)}" for place in require.places)


def _part_met(require: Require, voters: Sequence[Collection[str]]) -> bool:
    if require.any_of is not None:
        return any(_fitting(place, voters) >= place.count for place in require.any_of)
    return _all_filled(require.all_of or (), voters)


def _fitting(place: Place, voters: Sequence[Collection[str]]) -> int:
    return sum(1 for groups in voters if not frozenset(groups).isdisjoint(place.groups))


def _all_filled(places: Sequence[Place], voters: Sequence[Collection[str]]) -> bool:
    """Fill each seat of each place with a person of their own: maximum matching by augmenting paths."""
    seats = [frozenset(place.groups) for place in places for _ in range(place.count)]
    seat_of: dict[int, int] = {}

    def seat(index: int, asked: set[int]) -> bool:
        for voter, groups in enumerate(voters):
            if voter in asked or seats[index].isdisjoint(groups):
                continue
            asked.add(voter)
            if voter not in seat_of or seat(seat_of[voter], asked):
                seat_of[voter] = index
                return True
        return False

    return all(seat(index, set()) for index in range(len(seats)))
