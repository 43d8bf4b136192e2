"""Arguments that travel in header fields as well (2026-07-28, `x-mcp-header`), where no server reads the fields.

Servers over pipes and those of the older era get the body alone, so the gateway is who sees that both say the same.
What a tool wants mirrored is learned from the lists of tools that pass here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from proxy.between import shapes
from proxy.headers import Headers, RawHeaders, decode_mirrored
from proxy.mcp import HEADER_MISMATCH

KEPT = 1000
_NOTHING: Mapping[tuple[str, ...], str] = MappingProxyType({})
_INTEGER = re.compile(r"-?[0-9]{1,40}(\.0{1,10})?")


class Mirrors:
    """What the tools of every connection want mirrored, as one process has heard it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Mapping[tuple[str, ...], str]] = OrderedDict()

    def learn(self, connection: str, result: Any) -> None:
        """Note what the tools of a result of `tools/list` want."""
        tools = result.get("tools") if isinstance(result, Mapping) else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, Mapping):
                place = (connection, str(tool.get("name")))
                self._known.pop(place, None)
                if annotated := shapes.annotated(tool):
                    self._known[place] = annotated
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def of(self, connection: str, tool: Any) -> Mapping[tuple[str, ...], str]:
        """Return the names of the fields of a tool, by the path of the argument that each one carries."""
        return self._known.get((connection, str(tool)), _NOTHING)

    def mismatch(self, connection: str, message: Mapping[str, Any], headers: RawHeaders) -> dict[str, Any] | None:
        """Return the error of a call whose header fields say something else than its body; None when they agree."""
        params = message.get("params")
        if message.get("method") != "tools/call" or not isinstance(params, Mapping):
            return None
        carried = self.of(connection, params.get("name"))
        if not carried:
            return None
        fields = Headers(headers)
        for path, name in carried.items():
            said, value = fields.first(f"mcp-param-{name.lower()}"), shapes.argument(params, path)
            if not _agree(said, value):
                text = f"Mcp-Param-{name} differs from the argument {'.'.join(path)} in the body."
                return {"code": HEADER_MISMATCH, "message": text}
        return None


def _agree(said: str | None, value: Any) -> bool:
    shown = shapes.shown_in_field(value)
    if said is None or shown is None:
        return said is None and shown is None
    decoded = decode_mirrored(said)
    if decoded == shown:
        return True
    # A number may be written in more than one way.
    whole = type(value) is int and decoded is not None and _INTEGER.fullmatch(decoded)
    return bool(whole) and int(str(decoded).partition(".")[0]) == value
