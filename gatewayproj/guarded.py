"""Asking identity providers under the same guard as servers: nothing is said to an address that is not to be dialled.

The library makes its connections by itself, so the address is looked at when one has been made, before a byte is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    import socket


class AddressRefused(OSError):
    """The address is not to be dialled; the text says why."""


def _checked(connected: socket.socket) -> socket.socket:
    if refusal := settings.UPSTREAM_NETWORKS.for_others.refusal(str(connected.getpeername()[0])):
        connected.close()
        msg = f"the address is {refusal}"
        raise AddressRefused(msg)
    return connected


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _Encrypted(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


class Adapter(HTTPAdapter):
    """Makes guarded connections."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _EncryptedPool}


def session() -> requests.Session:
    """Return a session whose connections are guarded; to be closed after use."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, Adapter())
    return made
