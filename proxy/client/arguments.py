"""The command line of `call`, for `manage.py call` and for `python -m proxy.client call`, which needs no Django."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from typing import Any

from proxy.client.calling import parse_wait
from proxy.client.command import Options, call, gateway_url
from proxy.client.outcomes import TROUBLE
from proxy.strictjson import BadJson, parse

DESCRIPTION = """Call one tool through the gateway and wait while people decide.

The result's text goes to stdout, everything else to stderr. Exit codes: 0 done; 1 the tool reported an error;
2 usage, network, 401 or 403; 3 denied; 4 expired or still pending; 5 blocked; 6 the outcome is not known.

The gateway is HOLDGATE_URL. The token is HOLDGATE_TOKEN or HOLDGATE_TOKEN_FILE, or else the identity token
of GitHub Actions, GitLab CI (HOLDGATE_ID_TOKEN) or Kubernetes, made for HOLDGATE_AUDIENCE (default: the
connection's own address) and fetched anew for every attempt.
"""


def declare(parser: ArgumentParser) -> None:
    """Add the arguments of `call`."""
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
    parser.add_argument("--json", action="store_true", help="print what came of it as one JSON document")
    parser.add_argument(
        "--idempotency-key",
        default="",
        metavar="KEY",
        help="the same key joins the same call from another process (default: a new one)",
    )


def perform(options: Mapping[str, Any]) -> int:
    """Make the call that the parsed arguments describe, and return the exit code."""
    try:
        url = options["url"] or gateway_url(os.environ.get("HOLDGATE_URL", ""))
    except ValueError as error:
        sys.stderr.write(f"HOLDGATE_URL {error}\n")
        return TROUBLE
    asked = Options(
        url=url,
        connection=options["connection"],
        tool=options["tool"],
        arguments=options["arguments"],
        wait=options["wait"],
        reason=options["reason"],
        key=options["idempotency_key"],
        as_json=options["json"],
    )
    # Runners cancel a job by either; whoever reads its log wants to know how to go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return call(asked, os.environ, out=sys.stdout, err=sys.stderr)


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
