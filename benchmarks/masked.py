"""Masking measured alone: how fast, in which shapes, whether time grows with size alone, and how long it blocks."""

from __future__ import annotations

import asyncio
import base64
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson

from benchmarks import messages
from benchmarks.alone import cpu_of
from benchmarks.report import Figure
from masking.engine import DETECTORS, Engine, Masked
from masking.rules import MaskingRule

Mask = Callable[[bytes], Masked]

_CLEAN = "order 20931 was packed on Tuesday, two parcels, no remarks, and left the house before noon {number}"
_DENSE = (
    "mia.{number}@example.com paid with 4111 1111 1111 1111, call +49 30 901820, or write to "
    "j.{number}@mail.example.org; "
    + (
        "the parcel left the house before noon and will be there on Friday, so the service desk has said, unless "
        "the road over the pass is closed again, which the weather report does not expect this week"
    )
)
# Text that makes bad searches slow: half-begun values, codes, brackets, quotes and tables without end.
_HOSTILE = (
    *("%25", "&amp;", "\\u00", "[{", '{"', '"', "QUJD", "a|b\n", "password,a\n", "password | \n", "<password>"),
    *("4111 ", "+1 (2", "DE89 3704 ", "password: ", '{"password":', "eyJhbGci.a."),
)


def masking(*, seconds: float, size: int) -> list[Figure]:
    """Measure the masking of an answer, of messages of a stream, and of large answers in many shapes."""
    rules = [MaskingRule(name="all", detectors=tuple(sorted(DETECTORS)))]
    mask = Engine(rules, hash_key=b"k" * 32).masker("orders-db", None).json
    gc.collect()
    gc.freeze()  # as the gateway does, which collects as seldom
    gc.set_threshold(10_000, 20, 20)
    return [*_small(mask, seconds), *_large(mask, seconds, size), _growth(mask, size), _block(mask, size)]


def _small(mask: Mask, seconds: float) -> list[Figure]:
    answer, note = messages.result(7, messages.TEXT), messages.notification(7)
    quiet = note.replace(messages.EMAIL.encode(), b"the service desk")
    twin = orjson.dumps({"note": messages.TEXT})
    both = messages.result(7, twin.decode(), structured=orjson.loads(twin))
    assert mask(answer).body == messages.result(
        7, messages.TEXT.replace(messages.EMAIL, "[email]").replace(messages.CARD, "[credit_card]")
    )
    assert not mask(quiet).changed
    assert mask(note).hits == {"email": 1}
    assert mask(both).hits == {"email": 2, "credit_card": 2}

    def each(body: bytes) -> str:
        return f"{cpu_of(lambda: mask(body), seconds) * 1e6:.0f} us"

    return [
        Figure("masking", "an answer of 1 KiB with two hits", each(answer), "<= 60 us"),
        Figure("masking", "the same beside its structured twin", each(both)),
        Figure("masking", "an event with one hit", each(note), "<= 25 us"),
        Figure("masking", "an event with nothing to hide", each(quiet), "<= 3 us"),
    ]


def _large(mask: Mask, seconds: float, size: int) -> list[Figure]:
    clean, lines = _document(_CLEAN, size), messages.result(7, _lines(_DENSE, size))
    rows = _document(_DENSE, size)
    table = "id;name;password\n" + _lines('{number};"Lang, Mia";secret-{number}', size)
    packed = base64.b64encode(_lines(_DENSE, size).encode()).decode()
    image = base64.b64encode(b"\x89PNG\r\n" + bytes(range(256)) * (size // 342)).decode()
    coded = _lines(_CLEAN + " see /orders?of=Mia%20Lang&amp;all", size)
    many = {"content": [{"type": "text", "text": _lines(_CLEAN, size // 100)}] * 100}
    answers = {
        name: messages.result(7, text)
        for name, text in {"table": table, "packed": packed, "image": image, "coded": coded}.items()
    }
    texts = orjson.dumps({"jsonrpc": "2.0", "id": 7, "result": many})
    for dense in (rows, lines):
        assert mask(dense).hits["email"] == dense.count(b"@")
    assert mask(answers["packed"]).hits["email"] == mask(lines).hits["email"]
    assert mask(answers["table"]).hits["password_assignment"] == table.count("\n")
    assert not any(mask(body).changed for body in (clean, answers["image"], answers["coded"], texts))

    def speed(body: bytes) -> str:
        return f"{len(body) / cpu_of(lambda: mask(body), seconds) / 1e6:.1f} MB/s"

    return [
        Figure("masking", "clean text", speed(clean), ">= 100 MB/s"),
        Figure("masking", "clean text, a hundred texts in one answer", speed(texts)),
        Figure("masking", "clean text, two codes in 130 bytes", speed(answers["coded"])),
        Figure("masking", "base64 of a picture", speed(answers["image"]), ">= 100 MB/s"),
        Figure("masking", "dense text, rows of JSON", speed(rows), ">= 30 MB/s"),
        Figure("masking", "dense text, lines", speed(lines), ">= 30 MB/s"),
        Figure("masking", "dense text, in base64", speed(answers["packed"])),
        Figure("masking", "a table with a masked column", speed(answers["table"])),
    ]


def _growth(mask: Mask, size: int) -> Figure:
    """Return how much longer four times the text takes, at worst."""
    worst, kind = 0.0, ""
    for unit in _HOSTILE:
        small, large = (messages.result(7, unit * (times * size // 40 // len(unit))) for times in (1, 4))
        ratio = cpu_of(lambda body=large: mask(body), 0.01) / cpu_of(lambda body=small: mask(body), 0.01)  # type: ignore[misc]
        worst, kind = max((worst, kind), (ratio, unit))
    return Figure(
        "masking", f"four times the hostile text, worst of {len(_HOSTILE)}", f"{worst:.1f} x ({kind!r})", "<= 6 x"
    )


def _block(mask: Mask, size: int) -> Figure:
    """Return how long a loop that ticks every millisecond is kept from it while a thread masks a large answer."""
    body = _document(_DENSE, size)

    async def longest() -> float:
        with ThreadPoolExecutor(1) as threads:
            running = asyncio.get_running_loop().run_in_executor(threads, mask, body)
            gap, last = 0.0, time.perf_counter()
            while not running.done():
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                gap, last = max(gap, now - last), now
        return gap

    return Figure(
        "masking",
        "longest block of a loop beside it",
        f"{min(asyncio.run(longest()) for _ in range(5)) * 1e3:.0f} ms",
        "<= 25 ms",
    )


def _document(text: str, size: int) -> bytes:
    rows = [{"row": number, "note": text.format(number=number)} for number in range(size // (len(text) + 26))]
    return messages.result(7, orjson.dumps({"rows": rows}).decode())


def _lines(text: str, size: int) -> str:
    return "\n".join(text.format(number=number) for number in range(size // len(text)))
