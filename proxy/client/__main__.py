"""`python -m proxy.client call CONNECTION TOOL`: the twin of `manage.py call` for machines that have only httpx."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from proxy.client import arguments


def main() -> int:
    """Read the command line, make the call, and return the exit code."""
    parser = ArgumentParser(prog="python -m proxy.client", description="The caller's side of Holdgate.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "call one tool and wait while people decide"
    arguments.declare(commands.add_parser("call", help=about, description=arguments.DESCRIPTION))
    return arguments.perform(vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
