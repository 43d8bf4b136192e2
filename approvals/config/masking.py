"""What is hidden, where and from whom."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from approvals.config.values import Line, Lines, Name, Strict, problem


class Masking(Strict):
    """A masking rule: detectors over every string, fields by path; both empty is refused."""

    name: Name
    detectors: Lines = ()
    fields: Lines = ()
    connections: Lines = ()
    replace: Literal["label", "partial", "hash", "remove"] = "label"
    except_groups: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.detectors and not self.fields:
            raise problem("needs detectors or fields; without them it hides nothing")
        return self
