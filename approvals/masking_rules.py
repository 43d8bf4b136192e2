"""What a configuration hides, as the engine takes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from masking.engine import Engine
from masking.rules import MaskingRule

if TYPE_CHECKING:
    from approvals.config.masking import Masking
    from approvals.config.schema import Config


def engine_of(config: Config, *, hash_key: bytes) -> Engine:
    """Return the engine of a configuration: its rules with those of its packs, and its own detectors."""
    hide = config.channels.hide
    notices = () if hide is None else (MaskingRule(name="notices", detectors=hide.detectors, fields=hide.fields),)
    rules = [masking_rule(rule) for rule in config.in_force.masking]
    return Engine(rules, hash_key=hash_key, custom=config.own_detectors, notices=notices)


def masking_rule(rule: Masking) -> MaskingRule:
    """Return one entry of `masking` as a rule of the engine."""
    return MaskingRule(
        name=rule.name,
        detectors=tuple(rule.detectors),
        fields=tuple(rule.fields),
        connections=tuple(rule.connections),
        replace=rule.replace,
        except_groups=frozenset(rule.except_groups),
    )
