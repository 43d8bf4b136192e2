"""Detectors of one's own: what `masking` and `contains` may name beside those that come with the gateway."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from approvals.config.values import Line, Name, Strict, problem
from masking.custom import MOST_NAMES, PatternRefused, custom_detector
from masking.detectors import Detector


class CustomDetector(Strict):
    """A pattern for RE2, a check sum that the match must carry, and names of keys and columns whose value is hidden."""

    name: Name
    pattern: Line
    checksum: Literal["luhn", "mod97", "mod11-2", "mod11-10", "verhoeff"] | None = None
    names: Annotated[tuple[Line, ...], Field(max_length=MOST_NAMES)] = ()

    @cached_property
    def compiled(self) -> Detector:
        """The detector that it says. Raises PatternRefused, which no entry that was loaded does."""
        return custom_detector(self.name, self.pattern, checksum=self.checksum or "", names=self.names)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for index, name in enumerate(self.names):
            if not any(character.isalnum() for character in name):
                raise problem("needs a letter or a digit", f"names.{index}")
        try:
            _ = self.compiled
        except PatternRefused as error:
            raise problem(str(error), "pattern") from None
        return self
