"""Conditions on where a value points: into a network, into a folder. Pure: nothing is resolved, no file opened.

Each answers twice: whether a value certainly lies within, and whether it possibly does, under some reading of it.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from approvals.rules.folding import EvaluationError, fold, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# What a program may make something else of than the letters say: variables, home folders, Windows separators, NUL.
_EXPANDED: Final = re.compile(r"[\x00-\x1f\\$~*?`%]")
_MOST_DECODINGS: Final = 5


class Networks:
    """`in_cidr`: addresses in any of these networks. A name, or an address in a spelling of its own, is undecided."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(map(ipaddress.ip_network, networks))

    def certainly(self, value: Any) -> bool:
        """Tell whether the value is an address in one of the networks."""
        try:
            return isinstance(value, str) and self._holds(value)
        except ValueError:
            return False

    def possibly(self, value: Any) -> bool:
        """Tell the same of any value. Raises EvaluationError for a text that may be resolved to an address."""
        if not isinstance(value, str):
            return False
        try:
            return self._holds(value.strip().strip("[]"))
        except ValueError:
            raise EvaluationError("a text that is no plain address is to be found in a network") from None

    def _holds(self, text: str) -> bool:
        address: Any = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
        mapped = getattr(address, "ipv4_mapped", None)
        return any(one in network for one in (address, mapped) if one is not None for network in self._networks)


class Folders:
    """`inside`: paths of files below any of these folders, or one of them itself. Links are not followed."""

    __slots__ = ("_exact", "_folded")

    def __init__(self, folders: Sequence[str]) -> None:
        self._exact = tuple(posixpath.normpath(folder) for folder in folders)
        self._folded = tuple(fold(folder) for folder in self._exact)

    def certainly(self, value: Any) -> bool:
        """Tell whether the value is an absolute path that ends within, however it is read."""
        if not isinstance(value, str) or _EXPANDED.search(value) or not value.startswith("/") or ".." in value:
            return False
        return _within(posixpath.normpath(value), self._exact)

    def possibly(self, value: Any) -> bool:
        """Tell whether some reading ends within. Raises EvaluationError for what depends on who opens it."""
        if not isinstance(value, str):
            return False
        readings = [_bare(reading) for reading in _decoded(plain(value))]
        if any(_within(fold(posixpath.normpath(reading)), self._folded) for reading in readings):
            return True
        if any(not reading.startswith("/") or re.search(r"[\x00$~*?`]", reading) for reading in readings):
            raise EvaluationError("where a path leads that is not absolute and plain cannot be told")
        return False


def _within(path: str, folders: Sequence[str]) -> bool:
    path = "/" + path.lstrip("/")
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _bare(reading: str) -> str:
    """Return a reading as a POSIX path: without `file://` and a host, with slashes alone."""
    return re.sub(r"\A(?i:file)://[^/]*", "", reading).replace("\\", "/")


def _decoded(text: str) -> list[str]:
    """Return the text, and what it is with its percent escapes decoded, again and again."""
    readings = [text]
    while len(readings) <= _MOST_DECODINGS and (further := unquote(readings[-1])) != readings[-1]:
        readings.append(further)
    if len(readings) > _MOST_DECODINGS:
        raise EvaluationError("a path is escaped too many times")
    return readings
