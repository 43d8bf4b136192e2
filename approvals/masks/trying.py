"""One trial of masking, for the page and the API: by the drafts or by what is in force, perhaps with a new detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals.config.masking import Masking
from approvals.drafts import config_from_drafts
from approvals.keys import derive
from approvals.masking_rules import engine_of
from approvals.masks.trial import Trial, View, pieces, tried
from approvals.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.detectors import CustomDetector
    from approvals.config.schema import Config


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it, and what each detector of one's own found by itself, whether or not a rule hides it."""

    trial: Trial
    pieces: Sequence[tuple[str, Sequence[str]]]


def try_masking(
    text: str,
    *,
    drafts: bool,
    connection: str,
    groups: frozenset[str],
    view: View,
    detector: CustomDetector | None,
) -> Found:
    """Mask a text. A new detector hides what it finds, as a label. Raises ConfigError, MaskingFailed."""
    config = config_from_drafts() if drafts else runtime().policies.reload().policy.config
    if detector is not None:
        config = _with(config, detector)
    engine = engine_of(config, hash_key=derive("pseudonym"))
    trial = tried(engine, text, connection=connection, groups=groups, view=view)
    return Found(trial, [(one.name, pieces(one.compiled, text)) for one in config.detectors])


def _with(config: Config, detector: CustomDetector) -> Config:
    rule = Masking(name=detector.name, detectors=(detector.name,))
    # Made anew: a copy would bring along what was worked out of the old one.
    fields = {name: getattr(config, name) for name in type(config).model_fields}
    wanted = {"detectors": (*config.detectors, detector), "masking": (*config.masking, rule)}
    return type(config).model_construct(**fields | wanted)
