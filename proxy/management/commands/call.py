"""`manage.py call CONNECTION TOOL --args JSON`: one tool call through a gateway, for shells and pipelines."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from proxy.client.calling import parse_wait
from proxy.client.command import Options, call, gateway_url
from proxy.strictjson import BadJson, parse

DESCRIPTION = """Call one tool through the gateway and wait while people decide.

The result's text goes to stdout, everything else to stderr. Exit codes: 0 done; 1 the tool reported an error;
2 usage, network, 401 or 403; 3 denied; 4 expired or still pending; 5 blocked; 6 the outcome is not known.

The gateway is HOLDGATE_URL. The token is HOLDGATE_TOKEN or HOLDGATE_TOKEN_FILE, or else the identity token
of GitHub Actions, GitLab CI (HOLDGATE_ID_TOKEN) or Kubernetes, made for HOLDGATE_AUDIENCE (default: the
connection's own address) and fetched anew for every attempt.
"""


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse say what a ValueError says."""

    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return typed


def _arguments(text: str) -> dict[str, Any]:
    source = sys.stdin.read() if text == "-" else text
    try:
        # As strictly as the gateway will, so that a duplicate key is told here and not there.
        value = parse(source.encode())
    except (BadJson, UnicodeEncodeError) as error:
        msg = f"is not JSON that the gateway accepts: {error}"
        raise ValueError(msg) from None
    if not isinstance(value, dict):
        msg = "must be a JSON object, such as '{\"id\": 7}'"
        raise ValueError(msg)
    return value


class Command(BaseCommand):
    help = DESCRIPTION
    # A pipeline's machine has no gateway's database.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("connection", metavar="CONNECTION")
        parser.add_argument("tool", metavar="TOOL")
        parser.add_argument(
            "--args",
            dest="arguments",
            type=_typed(_arguments),
            default={},
            metavar="JSON",
            help="the tool's arguments, a JSON object; - reads it from stdin",
        )
        parser.add_argument(
            "--wait",
            type=_typed(parse_wait),
            default=1800.0,
            metavar="DURATION",
            help="how long to wait for people, such as 45s, 30m, 2h; 0 asks and leaves (default 30m)",
        )
        parser.add_argument("--reason", default="", help="why the call is wanted; the approvers read it")
        parser.add_argument("--url", type=_typed(gateway_url), help="address of the gateway (default HOLDGATE_URL)")
        parser.add_argument(
            "--idempotency-key",
            default="",
            metavar="KEY",
            help="the same key joins the same call from another process (default: a new one)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with the code that says what came of the call."""
        # One line per request on stderr would bury what the person at the terminal must read.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        sys.exit(self._call(options))

    def _call(self, options: dict[str, Any]) -> int:
        try:
            url = options["url"] or gateway_url(os.environ.get("HOLDGATE_URL", ""))
        except ValueError as error:
            self.stderr.write(f"HOLDGATE_URL {error}")
            return 2
        asked = Options(
            url=url,
            connection=options["connection"],
            tool=options["tool"],
            arguments=options["arguments"],
            wait=options["wait"],
            reason=options["reason"],
            key=options["idempotency_key"],
        )
        try:
            return call(asked, os.environ, out=sys.stdout, err=sys.stderr)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. A held call stays open; the same call with the same key joins it.")
            return 130
