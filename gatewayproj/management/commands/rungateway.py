"""`manage.py rungateway`: the gateway in one process."""

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
from gatewayproj.launcher import Launcher, NotStarted


class Command(BaseCommand):
    """Run web, Celery worker and beat in one process, without any other service."""

    help = "Run the whole gateway in one process; --config applies a holdgate.yaml when it is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8080)
        parser.add_argument("--config", type=Path, help="holdgate.yaml; applied when its digest is new")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            uvloop.run(self._run(options["host"], options["port"], options["config"]))
        except (OSError, ConfigError, NotStarted) as error:
            raise CommandError(str(error)) from error

    async def _run(self, host: str, port: int, config: Path | None) -> None:
        launcher = Launcher(host=host, port=port)
        await launcher.serve(before=lambda: self._apply(config))

    async def _apply(self, config: Path | None) -> None:
        if config is None:
            return
        text = await asyncio.to_thread(config.read_text, encoding="utf-8")
        published = await in_database(lambda: apply_if_new(runtime(), text, author="rungateway"))
        if published is not None:
            self.stderr.write(f"{config}: policy revision {published.revision}")
