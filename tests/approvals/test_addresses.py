"""Which addresses are dialled: never those where no server is, and otherwise what the operator says."""

from __future__ import annotations

import pytest

from approvals.addresses import Networks, never
from approvals.config.loader import ConfigError, load
from approvals.notices import post
from approvals.outbox import Dead

NEVER = [
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::ffff:0.0.0.0",
    "64:ff9b::e000:1",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
USUAL = [
    "127.0.0.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "93.184.216.34",
    "2606:2800:220:1::1",
    "fd12::1",
]


@pytest.mark.parametrize("address", NEVER)
def test_what_no_server_has_is_never_dialled_whatever_is_allowed(address: str) -> None:
    assert never(address)
    assert "never dialled" in Networks.read(["0.0.0.0/0", "::/0"]).refusal(address)


@pytest.mark.parametrize("address", USUAL)
def test_servers_of_the_house_and_of_others_are_dialled_by_default(address: str) -> None:
    assert Networks().refusal(address) == ""


def test_where_networks_are_named_no_others_are_dialled_and_what_is_forbidden_stays_so() -> None:
    networks = Networks.read(["10.0.0.0/8", "!10.0.0.7", "fd12::/16"])
    assert networks.refusal("10.1.2.3") == networks.refusal("fd12::1") == networks.refusal("::ffff:10.1.2.3") == ""
    assert networks.refusal("10.0.0.7") == networks.refusal("64:ff9b::10.0.0.7") == "forbidden by " + networks.said_by
    for address in ("127.0.0.1", "::1", "93.184.216.34", "fd13::1"):
        assert networks.refusal(address) == "outside of HOLDGATE_UPSTREAM_NETWORKS"


def test_issuers_may_be_elsewhere_but_not_where_nobody_is_dialled() -> None:
    others = Networks.read(["10.0.0.0/8", "!93.184.216.0/24"]).for_others
    found = [others.refusal(one) == "" for one in ("20.190.128.1", "10.0.0.1", "93.184.216.34", "169.254.169.254")]
    assert found == [True, True, False, False]


def test_what_is_forbidden_alone_leaves_the_rest() -> None:
    networks = Networks.read(["!127.0.0.0/8", "!::1"])
    assert [networks.refusal(one) == "" for one in ("127.0.0.1", "::1", "10.0.0.1")] == [False, False, True]


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]"])
def test_notifications_are_not_posted_there_either(host: str) -> None:
    assert post.ask(f"https://{host}/hook", b"{}", {}) == Dead("its address is never dialled")


DOCUMENT = "connections: {a: {url: 'http://%s/mcp', default: allow, networks: ['%s']}}"


@pytest.mark.parametrize(
    ("host", "network", "said"),
    [
        ("169.254.169.254", "10.0.0.0/8", "never dialled"),
        ("[::ffff:169.254.169.254]:80", "10.0.0.0/8", "never dialled"),
        ("0.0.0.0:8000", "10.0.0.0/8", "never dialled"),
        ("10.0.0.1", "10.0.0.1/8", "must be a network"),
        ("10.0.0.1", "internal", "must be a network"),
    ],
)
def test_a_configuration_that_leads_nowhere_is_refused(host: str, network: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DOCUMENT % (host, network))
    assert said in str(caught.value)


def test_a_connection_narrows_what_is_dialled_for_it() -> None:
    narrowed = load(DOCUMENT % ("mcp.internal", "10.1.0.0/16")).connections["a"].narrowed
    assert narrowed is not None
    assert narrowed.refusal("10.1.0.1") == ""
    assert narrowed.refusal("10.2.0.1") == "outside of `networks` of the connection"
