"""From `manage.py demo` to its exit code: the world, the stage, the story, the checks, and a clean end."""

from __future__ import annotations

import asyncio
import logging
import signal
from logging.config import dictConfig
from pathlib import Path
from typing import TextIO

from django.conf import settings

from gatewayproj.demo.checks import CHECKS, Scene
from gatewayproj.demo.database import own_database
from gatewayproj.demo.issuer import ALICE
from gatewayproj.demo.scroll import Scroll
from gatewayproj.demo.stage import Stage, stage
from gatewayproj.demo.story import DemoFailed, Seen, Story
from gatewayproj.demo.world import World

DONE, FAILED = 0, 1
LOG_LINES = 80


def run(world: World, where: tuple[str, int], *, auto: bool, out: TextIO) -> int:
    """Play the demo on this host and port; return 0, or 1 when something that it shows did not happen.

    Raises Refused.
    """
    log = world.folder / "gateway.log"
    _log_to(log)
    scroll = Scroll(out)
    with own_database(world):
        try:
            return asyncio.run(_interruptible(world, where, scroll, auto=auto))
        except DemoFailed as failed:
            scroll.line("FAILED", str(failed))
        except Exception as error:
            logging.getLogger("holdgate.demo").exception("the demo failed")
            scroll.line("FAILED", f"{type(error).__name__}: {error}")
        _tell_the_log(scroll, log)
        return FAILED


async def _interruptible(world: World, where: tuple[str, int], scroll: Scroll, *, auto: bool) -> int:
    """Play until the end, or until Ctrl-C or SIGTERM; either way everything is taken down."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None  # noqa: S101 - inside a coroutine there is one
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, me.cancel)
    try:
        return await _play(world, where, scroll, auto=auto)
    except asyncio.CancelledError:
        scroll.line("stopped", "The demo is over; nothing of it is left.")
        return DONE


async def _play(world: World, where: tuple[str, int], scroll: Scroll, *, auto: bool) -> int:
    scroll.plain("Holdgate: a pipeline, a database, and a person in between. One moment ...")
    async with stage(world, *where) as it:
        try:
            seen = await Story(it, scroll, auto=auto).play()
            if auto:
                return await _check(it, seen, scroll)
            await _stay(it, scroll)
        except asyncio.CancelledError:
            scroll.line("stopping", "One moment ...")
            raise
    return DONE


async def _check(it: Stage, seen: Seen, scroll: Scroll) -> int:
    """Check each promise that can be seen; name the broken ones."""
    scroll.plain("\nWhat of the promises was seen:\n")
    scene = Scene(it, seen)
    broken = []
    for promise, check in CHECKS.items():
        try:
            scroll.line("seen", f"{promise}: {await check(scene)}.")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a promise that was not seen, and named
            broken.append(promise)
            scroll.line("BROKEN", f"{promise}: {str(error) or type(error).__name__}")
    if broken:
        raise DemoFailed(f"Not seen: {', '.join(broken)}.")
    scroll.plain("\nAll seen. The rest of the promises is shown by the tests: make test\n")
    return DONE


async def _stay(it: Stage, scroll: Scroll) -> None:
    """Leave everything running for somebody to look around."""
    link = await it.sign_in_link(ALICE)
    scroll.plain("\nLook around: the gateway is still up.\n")
    scroll.line("inbox", f"{link}  (as Alice Ames)")
    scroll.line("next", 'Your own server behind it: README.md, "Put your own server behind it".')
    scroll.line("end", "Ctrl-C ends the demo and removes everything it made.")
    await asyncio.Event().wait()


def _log_to(path: Path) -> None:
    """Keep the gateway's log in a file of the demo's folder, so that the story is not lost among its lines.

    Also in the settings, since whoever makes the ASGI application has Django configure its logging again.
    """
    settings.LOGGING["formatters"]["line"] = {"()": "gatewayproj.log.Readable"}
    settings.LOGGING["handlers"]["stderr"] = {
        "class": "logging.FileHandler",
        "formatter": "line",
        "filename": str(path),
        "encoding": "utf-8",
    }
    dictConfig(settings.LOGGING)


def _tell_the_log(scroll: Scroll, path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if path.exists() else []
    scroll.plain("\nThe end of the gateway's log:\n")
    for line in lines:
        scroll.plain(f"  {line}")
