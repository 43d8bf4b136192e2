"""The command `call` without its argument parser: from arguments and environment to an exit code."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

from proxy.client.attempt import Ask, Attempt
from proxy.client.calling import Calling
from proxy.client.outcomes import PENDING, TROUBLE, Answered, Refused
from proxy.client.report import report
from proxy.client.tokens import TokenUnavailable, token_source
from proxy.client.watching import Watcher
from proxy.client.wire import ConnectionLost, Wire

STOPPED = 130  # as shells say it of a program that was interrupted


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
    as_json: bool = False


def call(options: Options, environ: Mapping[str, str], *, out: TextIO, err: TextIO) -> int:
    """Make the call: what it answered to `out`, all else to `err`. Return the exit code of `proxy.client.outcomes`,
    or 130 when somebody stopped it.
    """
    endpoint = f"{options.url}/mcp/{quote(options.connection, safe='')}"
    key = options.key or str(uuid.uuid4())
    wire = Wire()
    watcher = Watcher(err, time.monotonic, lambda _: None)
    try:
        source = token_source(environ, audience=environ.get("HOLDGATE_AUDIENCE") or endpoint)
        asked = Ask(endpoint, options.tool, options.arguments)
        calling = Calling(
            attempt=Attempt(wire, asked, on_progress=lambda message: watcher.on_progress(message)).run,
            token=lambda: source.get(wire.fetch_token),
            now=time.monotonic,
            sleep=time.sleep,
            say=watcher.say,
            key=key,
            wait=options.wait,
            reason=options.reason,
        )
        watcher.look = lambda approval: open_approval(wire, options.url, approval, calling)
        code, said = calling.run()
    except TokenUnavailable as error:
        watcher.say(str(error))
        code, said = TROUBLE, None
    except KeyboardInterrupt:
        watcher.say(f"Stopped. A held call stays open. {_collecting(key)}")
        return STOPPED
    finally:
        wire.close()
    if options.as_json:
        out.write(f"{json.dumps(report(code, said, key), ensure_ascii=False)}\n")
        out.flush()
    _tell(said, watcher, None if options.as_json else out)
    if code == PENDING and isinstance(said, Refused) and said.is_pending:
        watcher.say(_collecting(key))
    return code


def _collecting(key: str) -> str:
    return f"To wait on, or to fetch the result, run the same command with --idempotency-key {key}"


def _tell(said: Answered | Refused | None, watcher: Watcher, out: TextIO | None) -> None:
    if isinstance(said, Answered):
        if out is not None:
            out.write(f"{said.text}\n" if said.text else "")
            out.flush()
    elif said is not None:
        place = f" ({said.url})" if said.url else ""
        watcher.say(f"{said.reason}: {said.message} Executed: {said.executed}.{place}")


def open_approval(wire: Wire, url: str, approval: str, calling: Calling) -> Mapping[str, Any] | None:
    """Return the approval that this call waits for, or None when it cannot be seen; a later attempt brings its id."""
    calling.approval = approval
    try:
        row = wire.get_json(f"{url}/api/v1/approvals/{quote(approval, safe='')}/", calling.authorization)
    except ConnectionLost:
        return None
    return row if isinstance(row, Mapping) and row.get("id") == approval else None


def gateway_url(text: str) -> str:
    """Return the gateway's address without a slash at its end. Raises ValueError."""
    parts = urlsplit(text)
    sound = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
    if not sound or parts.username is not None:
        msg = "must be an http or https address without user name and query"
        raise ValueError(msg)
    return text.rstrip("/")
