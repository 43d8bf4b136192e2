"""Masked answers that still satisfy the tool's output schema. Pure.

Clients check `structuredContent` against the tool's `outputSchema` (JSON Schema 2020-12, as MCP has it) and refuse an
answer that does not fit. So what stands for a hidden value is of the type, format, pattern and bounds that the schema
asks for; a member for which there is no such value is left out where it is optional; and an answer that cannot be made
to fit is not given at all.

What one place satisfied before it was hidden it satisfies afterwards; so only schemas that look at more than one place
at once are checked as a whole.
"""

from typing import Any, Final
from weakref import WeakKeyDictionary

from masking.checking import Checker, TooMuch, is_fragile, is_tangled
from masking.documents import Unreadable, read, write
from masking.engine import Masker, MaskingFailed
from masking.folding import same_name
from masking.substitutes import ABSENT, NoValue, View

_LISTED: Final = frozenset({"enum", "const", "default", "examples"})
_MEMBER: Final = "structuredContent"


class Unfit(MaskingFailed):
    """The masked answer cannot satisfy the tool's output schema, so it must not be passed on."""


class OutputSchema:
    """The output schema of one tool. Safe to share between threads."""

    def __init__(self, schema: Any) -> None:
        self.required = required_names(schema)
        self._schema = schema if isinstance(schema, dict) else None
        self._fragile = self._schema is not None and is_fragile(schema)
        self._fitting: WeakKeyDictionary[Masker, _Fitting] = WeakKeyDictionary()

    def fit(self, original: bytes, masked: bytes, masker: Masker) -> bytes:
        """Return a masked message whose structured content satisfies the schema; the same bytes where it does.

        `original` is the message as it came. A text block that repeated the structured content goes on doing so.
        Raises Unfit.
        """
        if not self._fragile or b"structuredContent" not in masked:
            return masked
        known = self._fitting.get(masker)
        if known is None:
            known = self._fitting[masker] = _Fitting(served_schema(self._schema, masker))
        return known.message(original, masked)


def required_names(schema: Any) -> frozenset[str]:
    """Return every name that some object in the schema requires, as `Masker.json(required=…)` takes them."""
    names: set[str] = set()
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            listed = item.get("required")
            if isinstance(listed, list):
                names.update(same_name(name) for name in listed if isinstance(name, str))
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return frozenset(names)


def served_schema(schema: Any, masker: Masker) -> Any:
    """Return an output schema as callers get to see it: values that it lists are masked like those of answers."""
    if isinstance(schema, list):
        return [served_schema(item, masker) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: _listed_values(keyword, told, masker) if keyword in _LISTED else served_schema(told, masker)
        for keyword, told in schema.items()
    }


def _listed_values(keyword: str, told: Any, masker: Masker) -> Any:
    """Mask listed values; what became equal stands once, as enums must have it."""
    if isinstance(told, dict) and "type" in told:  # a property that happens to have the name of a keyword
        return served_schema(told, masker)
    masked = masker.value(told)
    if keyword != "enum" or not isinstance(masked, list):
        return masked
    return [item for index, item in enumerate(masked) if item not in masked[:index]]


class _Fitting:
    """One schema as one reader gets to see it, and the values that were chosen for it."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._checker = Checker(schema)
        self._root = View(self._checker, (schema,))
        self._tangled = is_tangled(schema)

    def message(self, original: bytes, masked: bytes) -> bytes:
        """Fit the structured content of one message. Raises Unfit."""
        try:
            before, _ = read(original.decode("utf-8"))
            after, _ = read(masked.decode("utf-8"))
            held, shown = _result_of(before), _result_of(after)
            if _MEMBER not in shown or shown.get("isError") is True:
                return masked
            fitted = self._fit(self._root, held.get(_MEMBER, ABSENT), shown[_MEMBER])
            self._check(held.get(_MEMBER, ABSENT), fitted)
            if fitted == shown[_MEMBER]:
                return masked
            shown[_MEMBER] = fitted
            return write(after)
        except (NoValue, TooMuch, Unreadable, RecursionError, ArithmeticError, UnicodeDecodeError) as error:
            raise Unfit("masked, it could not satisfy the tool's output schema") from error

    def _check(self, before: Any, fitted: Any) -> None:
        """Check the whole where its places alone do not prove it; what never satisfied the schema need not now."""
        if not self._tangled or self._checker.holds(self._schema, fitted):
            return
        if before is ABSENT or self._checker.holds(self._schema, before):
            raise NoValue

    def _fit(self, view: View, before: Any, after: Any) -> Any:
        if isinstance(after, dict):
            return self._object(view, before if isinstance(before, dict) else {}, after)
        if isinstance(after, list):
            return self._array(view, before if isinstance(before, list) else [], after)
        if type(before) is type(after) and before == after:
            return after
        return view.substitute(before, after)

    def _object(self, view: View, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        fitted: dict[str, Any] = {}
        for name, member in after.items():
            try:
                fitted[name] = self._fit(view.member(name), before.get(name, ABSENT), member)
            except NoValue:
                if view.demands(name):
                    raise
        return fitted

    def _array(self, view: View, before: list[Any], after: list[Any]) -> list[Any]:
        held = before + [ABSENT] * (len(after) - len(before))
        items = [self._fit(view.item(index), held[index], item) for index, item in enumerate(after)]
        if not view.unique:
            return items
        return [item for index, item in enumerate(items) if item not in items[:index]]


def _result_of(message: Any) -> dict[str, Any]:
    """Return the result of a tool in a message: its own, or that of the finished task of which it or a note tells."""
    result = message.get("result", message.get("params")) if isinstance(message, dict) else None
    if not isinstance(result, dict):
        return {}
    inner = result.get("result")
    return inner if _MEMBER not in result and isinstance(inner, dict) else result
