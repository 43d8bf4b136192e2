"""`python -m proxy.agent --config FILE`: serves MCP servers of this network to a gateway elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path

import uvloop

from approvals.config.problems import ConfigError
from proxy.agent.file import AgentFile, load
from proxy.agent.hiding import JsonLines
from proxy.agent.running import Agent

CONFIG = "HOLDGATE_AGENT_CONFIG"
BUILD = "HOLDGATE_BUILD"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code: 2 for a file that cannot be used."""
    parser = ArgumentParser(prog="python -m proxy.agent", description="Serves MCP servers of this network to Holdgate.")
    parser.add_argument("--config", metavar="FILE", default=os.environ.get(CONFIG), help=f"by default that of {CONFIG}")
    parser.add_argument("--check", action="store_true", help="only look whether the file can be used")
    parser.add_argument("--ready-file", metavar="FILE", type=Path, help="is there while the agent is connected")
    options = parser.parse_args()
    if not options.config:
        parser.error(f"--config or {CONFIG} must name the agent's file")
    try:
        file = load(Path(options.config).read_text(encoding="utf-8"))
    except OSError as error:
        parser.exit(2, f"{options.config}: {error.strerror}\n")
    except (ConfigError, UnicodeDecodeError) as error:
        parser.exit(2, f"{options.config} cannot be used:\n{error}\n")
    if options.check:
        sys.stdout.write(f"{options.config} can be used: {', '.join(file.connections)}\n")
        return 0
    _log()
    uvloop.run(_run(file, options.ready_file))
    return 0


def _log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    level = os.environ.get("HOLDGATE_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level if level in LEVELS else "INFO", handlers=[handler])
    logging.getLogger("aiohttp").setLevel("WARNING")


async def _run(file: AgentFile, ready: Path | None) -> None:
    agent = Agent(file, os.environ.get(BUILD) or "unnamed", ready)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    await agent.run()


if __name__ == "__main__":
    sys.exit(main())
