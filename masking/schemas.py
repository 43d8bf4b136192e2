"""Output schemas that masked answers still satisfy: what we serve in `tools/list`. Pure.

Clients check `structuredContent` against the tool's `outputSchema` (JSON Schema) and refuse an answer that
does not fit; a label fits no pattern, and a hidden number is 0.
"""

from typing import Any, Final

from masking.engine import Masker
from masking.folding import same_name

# Keywords that a value hidden by its name need not satisfy any more; its type stays.
_TEXT_KEYWORDS: Final = frozenset({"format", "pattern", "minLength", "maxLength"})
_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_LISTED: Final = frozenset({"enum", "const", "default", "examples"})
_CONTENT: Final = frozenset({"contentEncoding", "contentMediaType", "contentSchema"})
_VALUE_KEYWORDS: Final = _TEXT_KEYWORDS | _BOUNDS | _LISTED | _CONTENT
# What a number need not satisfy that may be hidden for what it is, since it then is 0.
_NUMBER_KEYWORDS: Final = frozenset({"minimum", "exclusiveMinimum"})
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_MOST_DEPTH: Final = 64


def relax_schema(schema: Any, masker: Masker) -> Any:
    """Return the output schema relaxed for what this masker may hide; the schema itself is not changed.

    Types, `properties` and `required` stay. Below 64 levels everything is allowed (`true`).
    """
    return _relaxed(schema, masker, (), hidden=False)


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


def _relaxed(schema: Any, masker: Masker, place: tuple[str | int, ...], *, hidden: bool) -> Any:
    if len(place) > _MOST_DEPTH:
        return True
    if isinstance(schema, list):
        return [_relaxed(item, masker, place, hidden=hidden) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = _dropped(masker, hidden=hidden)
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in dropped or (keyword == "propertyNames" and masker.hides_text()):
            continue
        result[keyword] = _keyword(keyword, value, masker, place, hidden=hidden)
    return result


def _dropped(masker: Masker, *, hidden: bool) -> frozenset[str]:
    if hidden:
        return _VALUE_KEYWORDS
    dropped = _TEXT_KEYWORDS if masker.hides_text() else frozenset()
    return dropped | _NUMBER_KEYWORDS if masker.hides_numbers() else dropped


def _keyword(keyword: str, value: Any, masker: Masker, place: tuple[str | int, ...], *, hidden: bool) -> Any:
    """Relax what stands under one keyword, following the place in the answer that it describes."""
    if keyword in _NAMED_SCHEMAS and isinstance(value, dict):
        return {
            name: _relaxed(
                item,
                masker,
                (*place, same_name(name)),
                hidden=hidden or (keyword == "properties" and masker.hides_member((*place, same_name(name)))),
            )
            for name, item in value.items()
        }
    if keyword in {"items", "prefixItems", "contains", "additionalItems", "unevaluatedItems"}:
        return _relaxed(value, masker, (*place, 0), hidden=hidden or masker.hides_member((*place, 0)))
    if keyword in _LISTED:
        return _masked_values(keyword, value, masker)
    return _relaxed(value, masker, place, hidden=hidden) if isinstance(value, dict | list) else value


def _masked_values(keyword: str, value: Any, masker: Masker) -> Any:
    """Mask listed values like the answer, so that the masked answer is still one of them."""
    masked = masker.value(value)
    if keyword != "enum" or not isinstance(masked, list):
        return masked
    return [item for index, item in enumerate(masked) if item not in masked[:index]]
