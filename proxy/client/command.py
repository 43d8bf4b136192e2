"""The command `call` without its argument parser: from arguments and environment to an exit code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

from proxy.client.attempt import Ask, Attempt
from proxy.client.calling import Calling
from proxy.client.outcomes import TROUBLE, Answered, Refused
from proxy.client.tokens import TokenUnavailable, token_source
from proxy.client.watching import Watcher
from proxy.client.wire import ConnectionLost, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `wait` is seconds; `url` the gateway's address without `/mcp/...`."""

    url: str
    connection: str
    tool: str
    arguments: Mapping[str, Any]
    wait: float
    reason: str = ""
    key: str = ""


def call(options: Options, environ: Mapping[str, str], *, out: TextIO, err: TextIO) -> int:
    """Make the call: its text to `out`, all else to `err`. Return the exit code of
    `proxy.client.outcomes`.
    """
    endpoint = f"{options.url}/mcp/{quote(options.connection, safe='')}"
    wire = Wire()
    watcher = Watcher(err, time.monotonic, lambda: None)
    try:
        source = token_source(environ, audience=environ.get("HOLDGATE_AUDIENCE") or endpoint)
        attempt = Attempt(
            wire,
            Ask(endpoint, options.tool, options.arguments),
            on_progress=lambda message: watcher.on_progress(message),
        )
        calling = Calling(
            attempt=attempt.run,
            token=lambda: source.get(wire.fetch_token),
            now=time.monotonic,
            sleep=time.sleep,
            say=watcher.say,
            key=options.key or str(uuid.uuid4()),
            wait=options.wait,
            reason=options.reason,
        )
        watcher.look = lambda: open_approval(wire, options, calling)
        code, said = calling.run()
    except TokenUnavailable as error:
        watcher.say(str(error))
        return TROUBLE
    finally:
        wire.close()
    _print(said, watcher, out)
    return code


def _print(said: Answered | Refused | None, watcher: Watcher, out: TextIO) -> None:
    if isinstance(said, Answered):
        out.write(f"{said.text}\n" if said.text else "")
        out.flush()
    elif said is not None:
        place = f" ({said.url})" if said.url else ""
        watcher.say(f"{said.reason}: {said.message} Executed: {said.executed}.{place}")


def open_approval(wire: Wire, options: Options, calling: Calling) -> Mapping[str, Any] | None:
    """Return the newest open approval of this caller for this tool, or None when there is none to be seen."""
    query = f"status=pending&connection={quote(options.connection, safe='')}"
    try:
        answer = wire.get_json(f"{options.url}/api/v1/approvals/?{query}", calling.authorization)
    except ConnectionLost:
        return None
    rows = answer.get("results") if isinstance(answer, Mapping) else None
    fitting = [
        row
        for row in rows or []
        if isinstance(row, Mapping) and row.get("tool") == options.tool and isinstance(row.get("id"), str)
    ]
    known = [row for row in fitting if row["id"] == calling.approval]
    return next(iter(known or fitting), None)


def gateway_url(text: str) -> str:
    """Return the gateway's address without a slash at its end. Raises ValueError."""
    parts = urlsplit(text)
    sound = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
    if not sound or parts.username is not None:
        msg = "must be an http or https address without user name and query"
        raise ValueError(msg)
    return text.rstrip("/")
