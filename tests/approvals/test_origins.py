"""Only our own host names and web origins are served."""

from __future__ import annotations

import pytest

from approvals.origins import Own, host_allowed, origin_allowed

OURS = Own("https://gate.example.com", ("gate.internal",))
UNSET = Own("")


@pytest.mark.parametrize(
    ("host", "own", "expected"),
    [
        ("gate.example.com", OURS, True),
        ("GATE.example.com:8443", OURS, True),
        ("gate.internal:80", OURS, True),
        ("localhost", OURS, False),
        ("evil.example.com", OURS, False),
        ("", OURS, False),
        ("localhost:8080", UNSET, True),
        ("127.0.0.1", UNSET, True),
        ("[::1]:8080", UNSET, True),
        ("rebound.example.com", UNSET, False),
        ("[", UNSET, False),
        ("127.0.0.1:80.evil.example.com", UNSET, False),
        ("evil.example.com@127.0.0.1", UNSET, False),
        ("127.0.0.1:80, x", UNSET, False),
        ("127.0.0.1:99999", UNSET, False),
        ("127.0.0.1:", UNSET, True),
    ],
)
def test_the_host_is_compared_without_its_port(host: str, own: Own, expected: bool) -> None:
    assert host_allowed(host, own) is expected


@pytest.mark.parametrize(
    ("origin", "host", "own", "expected"),
    [
        ("https://gate.example.com", "gate.example.com", OURS, True),
        ("https://gate.example.com:443", "gate.example.com", OURS, True),
        ("http://gate.example.com", "gate.example.com", OURS, False),
        ("https://gate.example.com:8443", "gate.example.com", OURS, False),
        ("https://evil.example.com", "gate.example.com", OURS, False),
        ("null", "gate.example.com", OURS, False),
        ("https://gate.internal:9", "gate.internal", OURS, True),
        ("http://localhost:8080", "localhost:8080", UNSET, True),
        ("http://localhost:9090", "localhost:8080", UNSET, False),
        ("http://evil.example.com", "evil.example.com", UNSET, False),
        ("http://localhost:8080/path", "localhost:8080", UNSET, False),
        ("http://localhost:port", "localhost:port", UNSET, False),
    ],
)
def test_the_origin_is_compared_exactly(origin: str, host: str, own: Own, expected: bool) -> None:
    assert origin_allowed(origin, host, own) is expected
