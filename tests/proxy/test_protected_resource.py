"""Where a caller without a token is sent."""

from __future__ import annotations

import re

import pytest

from approvals.config.schema import Issuer, KindOfCaller
from proxy.protected_resource import authorization_servers, challenge, connection_url, metadata, metadata_url

PUBLIC = "https://gw.example.com"
CORP = Issuer(name="corp", issuer="https://id.example.com", login=True)
PARTNER = Issuer(name="partner", issuer="https://id.partner.example")
GITHUB = Issuer(name="github", issuer="https://token.example.com", kind=KindOfCaller(default="ci"))
ISSUERS = (GITHUB, PARTNER, CORP)


def test_each_connection_is_a_resource_with_its_own_address_as_identifier() -> None:
    document = metadata("/.well-known/oauth-protected-resource/mcp/orders-db", public_url=PUBLIC, issuers=ISSUERS)
    assert document == {
        "resource": "https://gw.example.com/mcp/orders-db",
        "authorization_servers": ["https://id.example.com", "https://id.partner.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Holdgate: orders-db",
    }


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/"])
def test_the_gateway_itself_is_a_resource(path: str) -> None:
    document = metadata(path, public_url=f"{PUBLIC}/", issuers=ISSUERS)
    assert document is not None
    assert document["resource"] == PUBLIC


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resourceful",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/mcp/Orders",
        "/.well-known/oauth-protected-resource/mcp/orders-db/",
        "/.well-known/oauth-protected-resource/mcp/orders-db\n",
        "/.well-known/oauth-protected-resource/mcp/a/b",
        "/.well-known/oauth-protected-resource/mcp/" + "a" * 64,
        "/.well-known/openid-configuration",
        "/mcp/orders-db",
    ],
)
def test_other_paths_are_no_resource_of_ours(path: str) -> None:
    assert metadata(path, public_url=PUBLIC, issuers=ISSUERS) is None


def test_the_well_known_part_stands_before_a_path_prefix_of_the_gateway() -> None:
    public = "https://example.com/gateway/"
    address = metadata_url(public, "orders-db")
    assert address == "https://example.com/.well-known/oauth-protected-resource/gateway/mcp/orders-db"
    document = metadata(address.removeprefix("https://example.com"), public_url=public, issuers=ISSUERS)
    assert document is not None
    assert document["resource"] == connection_url(public, "orders-db") == f"{public}mcp/orders-db"
    assert metadata("/.well-known/oauth-protected-resource/mcp/x", public_url=public, issuers=ISSUERS) is None


def test_an_issuer_of_jobs_is_named_only_when_there_is_no_other() -> None:
    assert authorization_servers([GITHUB]) == [GITHUB.issuer]
    assert GITHUB.issuer not in authorization_servers(ISSUERS)


def test_a_caller_without_credentials_is_told_only_where_to_get_some() -> None:
    expected = 'Bearer resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource/mcp/orders-db"'
    assert challenge(PUBLIC, "orders-db") == expected


def test_a_rejected_token_is_named_with_the_reason() -> None:
    value = challenge(PUBLIC, error="invalid_token", description="The token has expired.")
    assert value == (
        'Bearer resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource", '
        'error="invalid_token", error_description="The token has expired."'
    )


def test_a_description_cannot_break_out_of_the_header() -> None:
    value = challenge(PUBLIC, error="invalid_token", description='a", x="\\\r\nSet-Cookie: é')
    assert value.endswith('error_description="a , x=    Set-Cookie:  "')


@pytest.mark.parametrize("name", ['x", error="none', "a\\b", "a\r\nset-cookie: b", "ü"])
def test_a_made_up_name_stays_within_its_quotes(name: str) -> None:
    value = challenge("https://gw.example.com", name)
    assert re.fullmatch(r'Bearer resource_metadata="[!#-~]+"', value), value
