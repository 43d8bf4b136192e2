"""Identity providers are asked under the same guard as servers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from approvals.addresses import Networks
from gatewayproj.provider import SignInFailed, fetch


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_is_said_to_an_address_that_is_not_to_be_dialled(host: str, settings: Any) -> None:
    settings.UPSTREAM_NETWORKS = Networks.read(["!127.0.0.0/8", "!::1"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        with pytest.raises(SignInFailed, match="cannot be reached"):
            fetch("GET", f"http://{host}:{server.getsockname()[1]}/.well-known/openid-configuration")
        caller, _ = server.accept()
        with caller:
            caller.settimeout(10)
            assert caller.recv(100) == b""


def test_a_provider_outside_of_the_servers_networks_is_asked(settings: Any) -> None:
    settings.UPSTREAM_NETWORKS = Networks.read(["10.0.0.0/8"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.OIDC_TIMEOUT = 0.5
        with pytest.raises(SignInFailed):
            fetch("GET", f"http://127.0.0.1:{server.getsockname()[1]}/")
        caller, _ = server.accept()
        with caller:
            assert caller.recv(100).startswith(b"GET / ")
