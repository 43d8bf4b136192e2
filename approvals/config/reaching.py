"""How a server over HTTP is reached: the networks in which it may be."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from approvals import addresses
from approvals.config.identity import web_address
from approvals.config.values import Line, problem


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise problem("must be a network such as 10.0.0.0/8, or one address") from None
    return value


def reachable(value: str) -> str:
    """Return an http(s) address, whose host may be dialled where it is no name; else raise."""
    host = urlsplit(web_address(value)).hostname or ""
    try:
        what = addresses.never(host)
    except ValueError:
        return value  # a name: what it stands for is looked at whenever it is dialled
    if what:
        raise problem(f"leads to an address that is never dialled ({what})")
    return value


Networks = Annotated[tuple[Annotated[Line, AfterValidator(_network)], ...], Field(min_length=1)]
ServerAddress = Annotated[Line, AfterValidator(reachable)]
