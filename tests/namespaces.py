"""A network of its own, joined to this machine by a cable: what is started in it has no other way, and nobody comes in.

Made of a network namespace of Linux and a pair of virtual interfaces; needs root and iproute2. Its two addresses are of
a block that is routed nowhere (RFC 2544), and no other process takes the same ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import pytest

_BLOCK = ip_network("198.18.0.0/15")
_CABLES = 1 << (30 - _BLOCK.prefixlen)  # each has four addresses
_FAR_END = "cable"
CLONE_NEWNET = 0x40000000
CONNECT_SECONDS = 3.0
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """One such network: `near` is the address of this machine's end of the cable, `far` that of the other one."""

    name: str
    cable: str
    near: str
    far: str

    def within(self, work: Callable[[], T]) -> T:
        """Do something in it: sockets that are made and programs that are started by that stay there."""

        def entered() -> T:
            with Path(f"/run/netns/{self.name}").open() as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return work()

        with ThreadPoolExecutor(1) as thread:  # a network is a thread's own
            return thread.submit(entered).result()

    @contextlib.contextmanager
    def pulled(self) -> Iterator[None]:
        """Pull the cable out for a while: nobody is told, nothing comes through."""
        _ip("link", "set", self.cable, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.cable, "up")


def connecting(address: str, port: int) -> int:
    """Connect, and return the number of the error; 0 when it went well."""
    with socket.socket() as one:
        one.settimeout(CONNECT_SECONDS)
        return one.connect_ex((address, port))


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make one, and leave nothing of it; skip where that cannot be done."""
    if shutil.which("ip") is None:
        pytest.skip("the program `ip` (iproute2) is missing")
    pid = os.getpid()
    start = 4 * (pid % _CABLES)
    near, far = str(_BLOCK[start + 1]), str(_BLOCK[start + 2])
    made = Network(f"holdgate-{pid}", f"hg{pid}", near, far)
    try:
        _made(made)
        yield made
    finally:
        for words in (("link", "del", made.cable), ("netns", "del", made.name)):
            subprocess.run(["ip", *words], capture_output=True, check=False)


def _made(new: Network) -> None:
    try:
        _ip("netns", "add", new.name)
        _ip("link", "add", new.cable, "type", "veth", "peer", "name", _FAR_END, "netns", new.name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    _ip("addr", "add", f"{new.near}/30", "dev", new.cable)
    _ip("link", "set", new.cable, "up")
    inside = ("-n", new.name)
    _ip(*inside, "addr", "add", f"{new.far}/30", "dev", _FAR_END)
    _ip(*inside, "link", "set", _FAR_END, "up")
    _ip(*inside, "link", "set", "lo", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True, text=True)
