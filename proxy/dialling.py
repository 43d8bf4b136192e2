"""What is looked at in the moment of dialling: the very address that the socket is about to be connected to.

A name may resolve to something else a moment later, so nothing is concluded from an earlier look-up: whatever the
resolver said, and whether the address stood in the configuration, came from a name or belongs to a proxy, it passes
here last.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from approvals.addresses import Networks

log = logging.getLogger("holdgate.upstream")

# family, type, protocol, canonical name, and the address as the family has it
AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """The address may not be dialled; the text says why, and is not for callers."""


@dataclass(slots=True)
class Sending:
    """How far a request came: whether a byte of it may have left, and why an address was not dialled."""

    begun: bool = False
    refused: str = ""


sending: ContextVar[Sending | None] = ContextVar("sending", default=None)


def guarded(every: Sequence[Networks]) -> Callable[[AddressInfo], socket.socket]:
    """Return what makes sockets for connections, and makes none to an address that one of these does not allow."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, place = info
        for networks in every:
            if refusal := networks.refusal(str(place[0])):
                log.warning("the address %s is not dialled: it is %s", place[0], refusal)
                if (now := sending.get()) is not None:
                    now.refused = refusal
                raise AddressRefused(errno.EACCES, f"the address is {refusal}")
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


def literal(host: str) -> str:
    """Return the address that stands in place of a name, in any spelling that a resolver takes; empty for a name."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host[-1:].isalnum() else ""
    except OSError:
        return ""
