"""Key sets: where they come from, how long they count, and what an issuer that misbehaves can do to us."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from proxy.jwks import Keys, KeySet, KeySets, KeysUnavailable, checked_url, parse_keys
from tests.issuer import FakeIssuer, running_issuer
from tests.signing import Key, encoded, key

OLD, NEW = key("RS256", "old"), key("RS256", "new")


packed = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b'{"keys": []}'))


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Web:
    """A transport whose answers a test sets by address; it notes what was asked, and may let it wait."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def publish(self, *keys: Key, at: str = "https://id.example.com/jwks") -> None:
        self.answers[at] = httpx.Response(200, content=document(*keys))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.gate is not None:
            await self.gate.wait()
        found = self.answers.get(str(request.url), httpx.Response(503))
        if isinstance(found, Exception):
            raise found
        return found

    def key_set(
        self, clock: Callable[[], float], jwks_uri: str | None = "https://id.example.com/jwks"
    ) -> KeySet:
        return KeySets(httpx.MockTransport(self.answer), clock=clock).of("https://id.example.com", jwks_uri)


def document(*keys: Key) -> bytes:
    return json.dumps({"keys": [held.jwk for held in keys]}).encode()


def kids(keys: Keys) -> set[str | None]:
    return {held.kid for held in keys.keys}


async def settled() -> None:
    """Let everything run that is able to; nothing here waits for a clock or a socket."""
    for _ in range(50):
        await asyncio.sleep(0)


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
def test_a_wrong_answer_leaves_us_without_keys(answer: object, why: str) -> None:
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


# How long they count


def test_a_hundred_callers_at_once_cost_one_question() -> None:
    web = Web()
    web.publish(OLD)

    async def run() -> list[Keys]:
        web.gate = asyncio.Event()
        key_set = web.key_set(Clock())
        callers = [asyncio.create_task(key_set.current()) for _ in range(100)]
        await asyncio.sleep(0)
        web.gate.set()
        return await asyncio.gather(*callers)

    answers = asyncio.run(run())
    assert len(web.asked) == 1
    assert all(kids(keys) == {OLD.kid} for keys in answers)


def test_a_caller_who_leaves_does_not_stop_the_question_for_the_others() -> None:
    web = Web()
    web.publish(OLD)

    async def run() -> Keys:
        web.gate = asyncio.Event()
        key_set = web.key_set(Clock())
        first, second = asyncio.create_task(key_set.current()), asyncio.create_task(key_set.current())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        web.gate.set()
        return await second

    assert kids(asyncio.run(run())) == {OLD.kid}
    assert len(web.asked) == 1


def test_keys_are_read_again_after_ten_minutes() -> None:
    web, clock = Web(), Clock()

    async def run() -> None:
        key_set = web.key_set(clock)
        web.publish(OLD)
        await key_set.current()
        web.publish(NEW)
        clock.seconds += 599
        assert kids(await key_set.current()) == {OLD.kid}
        clock.seconds += 1
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(run())
    assert len(web.asked) == 2


def test_an_unknown_key_id_is_asked_for_at_once_and_then_at_most_every_thirty_seconds() -> None:
    web, clock = Web(), Clock()
    web.publish(OLD)

    async def run() -> None:
        key_set = web.key_set(clock)
        await key_set.current()
        web.publish(OLD, NEW)
        assert (await key_set.knowing(NEW.kid, "RS256")).find(NEW.kid, "RS256") is not None
        assert len(web.asked) == 2
        for number in range(200):
            await key_set.knowing(f"forged-{number}", "RS256")
        assert len(web.asked) == 2
        clock.seconds += 30
        await asyncio.gather(*(key_set.knowing(f"forged-{number}", "RS256") for number in range(200)))
        assert len(web.asked) == 3

    asyncio.run(run())


def test_the_first_question_answers_for_an_unknown_key_id_too() -> None:
    web = Web()
    web.publish(OLD)
    keys = asyncio.run(web.key_set(Clock()).knowing("forged", "RS256"))
    assert keys.find("forged", "RS256") is None
    assert len(web.asked) == 1


def test_stale_keys_are_served_for_hours_while_the_issuer_is_down() -> None:
    web, clock = Web(), Clock()
    web.publish(OLD)

    async def run() -> None:
        key_set = web.key_set(clock)
        await key_set.current()
        web.answers.clear()
        clock.seconds += 6 * 3600
        assert kids(await key_set.current()) == {OLD.kid}
        assert len(web.asked) == 2
        for _ in range(100):
            await key_set.current()
            await key_set.knowing(OLD.kid, "RS256")
        assert len(web.asked) == 2
        clock.seconds += 6 * 3600 + 1
        with pytest.raises(KeysUnavailable):
            await key_set.current()

    asyncio.run(run())


def test_a_known_outage_is_tried_again_in_the_background() -> None:
    web, clock = Web(), Clock()
    web.publish(OLD)

    async def run() -> None:
        key_set = web.key_set(clock)
        await key_set.current()
        web.answers.clear()
        clock.seconds += 600
        await key_set.current()
        web.gate = asyncio.Event()
        web.publish(NEW)
        clock.seconds += 30
        assert kids(await key_set.current()) == {OLD.kid}, (
            "a caller does not wait for an issuer known to be down"
        )
        web.gate.set()
        await settled()
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(asyncio.wait_for(run(), 5))


def test_an_issuer_that_was_down_at_the_start_is_tried_again_soon() -> None:
    web, clock = Web(), Clock()

    async def run() -> None:
        key_set = web.key_set(clock)
        for _ in range(50):
            with pytest.raises(KeysUnavailable):
                await key_set.current()
        assert len(web.asked) == 1
        web.publish(OLD)
        clock.seconds += 5
        assert kids(await key_set.current()) == {OLD.kid}

    asyncio.run(run())


def test_closing_stops_a_question_that_is_still_open() -> None:
    web = Web()

    async def run() -> None:
        web.gate = asyncio.Event()
        sets = KeySets(httpx.MockTransport(web.answer))
        caller = asyncio.create_task(sets.of("https://id.example.com", None).current())
        await settled()
        assert web.asked
        await sets.aclose()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(run())


# From a file


def test_a_key_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, web = tmp_path / "jwks.json", Web()
    path.write_bytes(document(OLD))

    async def run() -> None:
        key_set = web.key_set(Clock(), f"file:{path}")
        first = await key_set.current()
        assert kids(first) == {OLD.kid}
        assert await key_set.current() is first
        path.write_bytes(document(OLD, NEW))
        assert kids(await key_set.current()) == {OLD.kid, NEW.kid}
        replacement = tmp_path / "next.json"
        replacement.write_bytes(document(NEW))
        os.replace(replacement, path)
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(run())
    assert web.asked == []


def test_a_key_file_that_is_broken_or_gone_leaves_the_last_keys_until_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(OLD))

    async def run() -> None:
        key_set = Web().key_set(Clock(), f"file:{path}")
        await key_set.current()
        path.write_bytes(b'{"keys": [')
        assert kids(await key_set.current()) == {OLD.kid}
        path.unlink()
        assert kids(await key_set.current()) == {OLD.kid}
        path.write_bytes(document(NEW))
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(run())


def test_a_key_file_that_was_never_there_is_a_key_set_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(KeysUnavailable, match="No such file"):
        asyncio.run(Web().key_set(Clock(), f"file:{tmp_path}/none.json").current())
