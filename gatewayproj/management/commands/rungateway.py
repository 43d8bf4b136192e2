"""`manage.py rungateway`: the gateway in one process, or one web process of several."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError

from approvals.config.loader import ConfigError
from approvals.database import in_database
from approvals.drafts import apply_if_new
from approvals.runtime import runtime
from gatewayproj import soundness
from gatewayproj.launcher import Launcher, NotStarted
from sessions.anchors import AnchorBroken


class Command(BaseCommand):
    """Run web, Celery worker and beat in one process, without any other service; with --web the web alone."""

    help = "Run the whole gateway in one process; --config applies a holdgate.yaml when it is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8080)
        parser.add_argument("--config", type=Path, help="holdgate.yaml; applied when its digest is new")
        parser.add_argument(
            "--web", action="store_true", help="only a web process; migrations, worker and beat are run by themselves"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            launcher = Launcher(host=options["host"], port=options["port"], web=options["web"])
            uvloop.run(launcher.serve(before=lambda: self._apply(options["config"])))
        except (OSError, AnchorBroken, ConfigError, NotStarted, soundness.Refused) as error:
            raise CommandError(str(error)) from error

    async def _apply(self, config: Path | None) -> None:
        # Before anything is written by this process; what serves looks again.
        await in_database(lambda: soundness.require(soundness.set_back_database()))
        if config is None:
            return
        text = await asyncio.to_thread(config.read_text, encoding="utf-8")
        published = await in_database(lambda: apply_if_new(runtime(), text, author="rungateway"))
        if published is not None:
            self.stderr.write(f"{config}: policy revision {published.revision}")
