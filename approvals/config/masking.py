"""What is hidden, where and from whom."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from approvals.config.values import Line, Lines, Name, Strict, problem
from masking.paths import parse_path


def _field(value: str) -> str:
    try:
        parse_path(value)
    except ValueError as error:
        raise problem(str(error)) from None
    return value


Fields = tuple[Annotated[Line, AfterValidator(_field)], ...]


class Masking(Strict):
    """A masking rule: detectors over every string, fields by path; both empty is refused."""

    name: Name
    detectors: Lines = ()
    fields: Fields = ()
    connections: Lines = ()
    replace: Literal["label", "partial", "hash", "remove"] = "label"
    except_groups: tuple[Line, ...] = ()
    overrides: Name | None = None
    """The pack whose rule of this name it stands for."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.detectors and not self.fields:
            raise problem("needs detectors or fields; without them it hides nothing")
        return self
