"""The members of MCP messages that masking must not break. Pure.

Names and indexes are those of `masking.paths.Place`: lower case. Sources: JSON-RPC 2.0 and the MCP revisions
2024-11-05 to 2026-07-28.
"""

from enum import Enum, auto
from typing import Final

from masking.paths import Place

# Correlation and opaque state: changed, the answer would reach nobody. Left as they are whatever is in them.
_UNTOUCHED: Final = frozenset(
    {
        ("jsonrpc",),
        ("id",),
        ("method",),
        ("params", "progresstoken"),
        ("params", "_meta", "progresstoken"),
        ("params", "requestid"),
        ("params", "requeststate"),
        ("result", "requeststate"),
    }
)
# Words of the protocol: no field rule may hide them, since clients refuse the answer; detectors still look.
_WORDS: Final = (
    "jsonrpc id method type mimetype role resulttype iserror protocolversion code taskid status ttlms ttl",
    "cachescope nextcursor cursor createdat lastupdatedat pollinterval action stopreason model",
    "content contents messages result error params tools prompts resources resourcetemplates inputschema",
    "level progress total audience priority lastmodified size hasmore sizes mode elicitationid",
    "outputschema requestedschema structuredcontent annotations _meta resource name uri text blob data",
)
_PROTOCOL_WORDS: Final = frozenset(word for line in _WORDS for word in line.split())
# Below these names the server's own data begin, where names mean what the server says.
_DATA: Final = frozenset({"structuredcontent", "arguments", "data", "_meta", "metadata"})
_SCHEMAS: Final = frozenset({"inputschema", "outputschema", "requestedschema"})


class Zone(Enum):
    """What names mean where the walk is: the protocol's own, names of a schema, or the server's data."""

    PROTOCOL = auto()
    SCHEMA = auto()
    DATA = auto()


def is_message(value: object) -> bool:
    """Say whether a JSON value is a JSON-RPC message, whose members have places of the protocol."""
    return isinstance(value, dict) and "jsonrpc" in value


def is_untouched(place: Place) -> bool:
    """Say whether the value at this place of a message is for correlation and stays as it is."""
    return place in _UNTOUCHED


def is_protocol_word(place: Place) -> bool:
    """Say whether a member outside the server's data belongs to the protocol."""
    return place[-1] in _PROTOCOL_WORDS


def is_schema(place: Place) -> bool:
    """Say whether a JSON Schema stands at this place: names in it are names, not values."""
    return place[-1] in _SCHEMAS and (place[0] in {"params", "result"})


def begins_data(place: Place, value: object) -> bool:
    """Say whether the server's own data begin at this place; the `data` of an image is base64, no data."""
    return place[-1] in _DATA and not (place[-1] == "data" and isinstance(value, str) and "error" not in place)


def zone_of(place: Place, member: object, zone: Zone) -> Zone:
    """Return what names mean in the member at this place, where they mean `zone` around it."""
    if zone is not Zone.PROTOCOL:
        return zone
    if is_schema(place):
        return Zone.SCHEMA
    return Zone.DATA if begins_data(place, member) else zone
