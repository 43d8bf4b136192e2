"""Key sets over time: how long keys count, how often an issuer is asked, and a file that changes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from proxy.jwks import LOOK_SECONDS, Keys, KeySets, KeysUnavailable
from tests.key_web import NEW, OLD, Clock, Web, document, kids, settled


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
        assert kids(await key_set.current()) == {OLD.kid}, "a caller does not wait for an issuer known to be down"
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
        clock = Clock()
        key_set = web.key_set(clock, f"file:{path}")
        first = await key_set.current()
        assert kids(first) == {OLD.kid}
        assert await key_set.current() is first
        path.write_bytes(document(OLD, NEW))
        clock.seconds += LOOK_SECONDS
        assert kids(await key_set.current()) == {OLD.kid, NEW.kid}
        replacement = tmp_path / "next.json"
        replacement.write_bytes(document(NEW))
        os.replace(replacement, path)
        clock.seconds += LOOK_SECONDS
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(run())
    assert web.asked == []


def test_a_key_file_that_is_broken_or_gone_leaves_the_last_keys_until_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(OLD))

    async def run() -> None:
        clock = Clock()
        key_set = Web().key_set(clock, f"file:{path}")
        await key_set.current()
        path.write_bytes(b'{"keys": [')
        clock.seconds += LOOK_SECONDS
        assert kids(await key_set.current()) == {OLD.kid}
        path.unlink()
        clock.seconds += LOOK_SECONDS
        assert kids(await key_set.current()) == {OLD.kid}
        path.write_bytes(document(NEW))
        clock.seconds += LOOK_SECONDS
        assert kids(await key_set.current()) == {NEW.kid}

    asyncio.run(run())


def test_a_key_that_is_not_known_yet_is_looked_for_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(OLD))

    async def run() -> None:
        key_set = Web().key_set(Clock(), f"file:{path}")
        await key_set.current()
        path.write_bytes(document(OLD, NEW))
        assert kids(await key_set.knowing(NEW.kid, "RS256")) == {OLD.kid, NEW.kid}

    asyncio.run(run())


def test_a_key_file_that_was_never_there_is_a_key_set_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(KeysUnavailable, match="No such file"):
        asyncio.run(Web().key_set(Clock(), f"file:{tmp_path}/none.json").current())
