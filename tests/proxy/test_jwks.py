"""Key sets: where they come from, what is in them, and what an issuer that misbehaves can do to us."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from proxy.fetching import checked_url
from proxy.jwks import KeySets, KeysUnavailable, parse_keys
from tests.issuer import FakeIssuer, running_issuer
from tests.key_web import NEW, OLD, Clock, Web, document, kids
from tests.signing import encoded, key

packed = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b'{"keys": []}'))


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with running_issuer() as running:
        yield running


def over_http(work: Callable[[KeySets], Any]) -> Any:
    """Run a coroutine function with key sets that speak real HTTP."""

    async def run() -> Any:
        transport = AiohttpTransport(trust_env=False)
        try:
            return await work(KeySets(transport))
        finally:
            await transport.aclose()

    return asyncio.run(run())


# Where keys come from


def test_keys_are_found_through_discovery_over_real_http(issuer: FakeIssuer) -> None:
    keys = over_http(lambda sets: sets.of(issuer.url, None).current())
    assert kids(keys) == {issuer.key(name).kid for name in ("RS256", "ES256", "EdDSA")}
    assert issuer.counts["/.well-known/openid-configuration"] == 1


def test_keys_are_read_from_a_configured_address_without_discovery(issuer: FakeIssuer) -> None:
    github = issuer.github
    keys = over_http(lambda sets: sets.of(github.url, f"{github.url}/jwks").current())
    assert github.key().kid in kids(keys)
    assert "/.well-known/openid-configuration" not in github.counts


def test_a_discovery_document_of_another_issuer_is_refused(issuer: FakeIssuer) -> None:
    gitlab = issuer.gitlab
    gitlab.discovery["issuer"] = issuer.url
    with pytest.raises(KeysUnavailable, match="not of this issuer"):
        over_http(lambda sets: sets.of(gitlab.url, None).current())


def test_a_server_that_cannot_be_reached_is_a_key_set_that_cannot_be_had() -> None:
    with pytest.raises(KeysUnavailable):
        over_http(lambda sets: sets.of("http://127.0.0.1:1", None).current())


def test_a_discovery_document_from_outside_cannot_send_us_to_this_host() -> None:
    web = Web()
    found = {"issuer": "https://id.example.com", "jwks_uri": "http://127.0.0.1:8500/keys"}
    web.answers["https://id.example.com/.well-known/openid-configuration"] = httpx.Response(200, json=found)
    with pytest.raises(KeysUnavailable, match="without https"):
        asyncio.run(web.key_set(Clock(), None).current())
    assert web.asked == ["https://id.example.com/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example.com/jwks",
        "http://10.0.0.1/jwks",
        "http://127.0.0.1.example.com/jwks",
        "ftp://id.example.com/jwks",
        "https://user:secret@id.example.com/jwks",
        "https:///jwks",
        "jwks",
        "",
    ],
)
def test_an_address_without_https_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"must|address"):
        checked_url(address)


@pytest.mark.parametrize(
    "address",
    ["https://id.example.com", "http://localhost:8080/x", "http://127.0.0.1:1/", "http://[::1]/jwks"],
)
def test_https_and_loopback_are_accepted(address: str) -> None:
    assert checked_url(address).host


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(302, headers={"location": "https://elsewhere.example.com/jwks"}), "answered 302"),
        (httpx.Response(404), "answered 404"),
        (httpx.Response(200, content=b"x" * 300_000), "larger than"),
        (httpx.Response(200, content=b"<html>"), "unexpected character"),
        (httpx.Response(200, content=b"[]"), "not a JWK set"),
        (httpx.Response(200, content=b'{"keys": {}}'), "not a JWK set"),
        (httpx.Response(200, content=b'{"keys": []}'), "no key"),
        (packed, "content encoding"),
        (httpx.ConnectError("refused"), "refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_wrong_answer_leaves_us_without_keys(answer: httpx.Response | Exception, why: str) -> None:
    web = Web()
    web.answers["https://id.example.com/jwks"] = answer
    with pytest.raises(KeysUnavailable, match=why):
        asyncio.run(web.key_set(Clock()).current())
    assert web.asked == ["https://id.example.com/jwks"]


def test_an_endless_answer_is_cut_off_at_the_size_limit() -> None:
    taken = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 65536
                yield b" " * 65536

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Endless())

    sets = KeySets(httpx.MockTransport(answer), clock=Clock())
    with pytest.raises(KeysUnavailable, match="larger than"):
        asyncio.run(sets.of("https://id.example.com", "https://id.example.com/jwks").current())
    assert taken < 1_000_000


# What is in them


def test_only_keys_that_can_verify_are_taken() -> None:
    sound = OLD.jwk
    hostile: list[Any] = [
        {"kty": "oct", "k": encoded(b"secret"), "kid": "shared", "alg": "HS256"},
        {**sound, "kid": "encryption", "use": "enc"},
        {**sound, "kid": "signing-only", "key_ops": ["sign"]},
        {**sound, "kid": "odd-operations", "key_ops": "verify"},
        {**sound, "kid": "mismatched", "alg": "HS256"},
        {**sound, "kid": 7},
        {**sound, "kid": "short", "n": encoded(b"\xc5" * 128)},
        {**sound, "kid": "no-modulus", "n": 5},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off-curve"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "other-curve"},
        {"kty": "OKP", "crv": "X25519", "x": encoded(b"\x01" * 32), "kid": "exchange"},
        {"kty": ["RSA"], "kid": "odd-type"},
        "text",
        None,
        sound,
    ]
    keys = parse_keys(json.dumps({"keys": hostile}).encode())
    assert kids(keys) == {OLD.kid}


def test_a_private_key_published_by_mistake_serves_as_the_public_one() -> None:
    leaked = {**OLD.jwk, "d": encoded(b"\x05" * 256), "p": "AQ", "q": "AQ"}
    (held,) = parse_keys(json.dumps({"keys": [leaked]}).encode()).keys
    assert not hasattr(held.key, "private_numbers")


def test_a_key_serves_only_the_algorithms_of_its_type() -> None:
    bare = {name: value for name, value in OLD.jwk.items() if name != "alg"}
    curve = {name: value for name, value in key("ES256", "one").jwk.items() if name != "alg"}
    keys = parse_keys(json.dumps({"keys": [bare, curve]}).encode())
    assert keys.find(OLD.kid, "PS256") is not None
    assert keys.find(OLD.kid, "ES256") is None
    assert keys.find(OLD.kid, "HS256") is None
    assert keys.find(key("ES256", "one").kid, "ES384") is None


def test_without_a_key_id_only_a_single_fitting_key_is_taken() -> None:
    one = parse_keys(document(OLD, key("ES256", "one")))
    assert one.find(None, "RS256") is not None
    two = parse_keys(document(OLD, NEW))
    assert two.find(None, "RS256") is None
