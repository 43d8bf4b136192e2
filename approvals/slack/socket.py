"""Clicks over a connection that the gateway itself opens, for networks that nothing can reach from outside.

Slack's protocol is small: an address, then envelopes, each with an answer. It is spoken here over `websockets`, for the
official client without further dependencies notices only after twenty seconds that its connection was cut.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError, close_old_connections
from slack_sdk.errors import SlackApiError
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from approvals import secret_reader
from approvals.secrets import SecretUnavailable
from approvals.slack.client import web_client
from approvals.slack.views import MAX_BODY, Busy, answered

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from approvals.config.channels import Slack
    from approvals.runtime import Runtime

# Only somebody who changes the app or the token makes these go away; everything else is tried again.
FATAL: Final = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "missing_scope",
        "link_disabled",
        "forbidden_team",
    }
)
TIMEOUT: Final = 10
LOOK_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 5.0
WORKERS: Final = 4
_log = logging.getLogger("holdgate.slack.socket")


class Hopeless(Exception):
    """Slack refuses the connection for good; the text says why."""


class Line:
    """One connection to Slack after the other. Each click is worked on as one that came over HTTP."""

    def __init__(self, house: Runtime, config: Slack, stopping: threading.Event) -> None:
        self._house = house
        self._config = config
        self._stopping = stopping
        self._workers = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="holdgate-slack-socket")

    def hold(self) -> None:
        """Be connected until told to stop, or until the policy says something else. Raises Hopeless."""
        failures = 0
        while self._is_wanted():
            try:
                with connect(self._address(), open_timeout=TIMEOUT, close_timeout=2, max_size=MAX_BODY) as connection:
                    _log.info("clicks from Slack arrive")
                    failures = 0
                    self._listen(connection)
                    continue
            except ConnectionClosed:
                _log.info("the connection to Slack was cut; opening another one")
            except (OSError, WebSocketException, SlackApiError, SecretUnavailable) as error:
                _log.warning("Slack cannot be reached, which is tried again: %s", _short(error))
            failures += 1
            pause = min(LONGEST_PAUSE, 0.25 * 2.0**failures)
            self._stopping.wait(pause * random.uniform(0.7, 1.0))  # noqa: S311 - spreads load, guards nothing

    def close(self) -> None:
        """Wait for what is at work."""
        self._workers.shutdown()

    def _is_wanted(self) -> bool:
        return not self._stopping.is_set() and wanted(self._house) == self._config

    def _listen(self, connection: ClientConnection) -> None:
        """Take what comes until Slack asks for another connection. Raises ConnectionClosed."""
        while self._is_wanted():
            try:
                text = connection.recv(timeout=LOOK_SECONDS)
            except TimeoutError:
                continue
            try:
                message = json.loads(text)
                kind, envelope = message["type"], message.get("envelope_id")
            except (ValueError, TypeError, KeyError, RecursionError):
                _log.warning("Slack sent something over its connection that cannot be read")
                continue
            if kind == "disconnect":
                return
            if envelope:
                self._workers.submit(self._take, connection, kind, str(envelope), message.get("payload"))

    def _take(self, connection: ClientConnection, kind: str, envelope: str, payload: Any) -> None:
        """Work on one envelope and answer it. What is not answered, Slack tells the person that it did not work."""
        try:
            answer = answered(self._house, payload) if kind == "interactive" else {}
            connection.send(json.dumps({"envelope_id": envelope, **({"payload": answer} if answer else {})}))
        except (Busy, ConnectionClosed, DatabaseError) as error:
            _log.warning("a click from Slack went unanswered: %s", type(error).__name__)

    def _address(self) -> str:
        token = secret_reader.configured().read(str(self._config.app_token)).reveal()
        try:
            return str(web_client(timeout=TIMEOUT).apps_connections_open(app_token=token)["url"])
        except SlackApiError as error:
            if (code := str(error.response.get("error", ""))) in FATAL:
                msg = f"Slack answered {code} to the app-level token; see docs/slack.md"
                raise Hopeless(msg) from None
            raise


class Keeper:
    """Holds a line for as long as the policy says `mode: socket`, in a process that does other things as well.

    What is hopeless is said once, and looked at again when the policy changes.
    """

    def __init__(self, house: Runtime) -> None:
        self._house = house
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdgate-slack-socket", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Close the line, and wait for that some seconds at most."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        refused: Slack | None = None
        while not self._stopping.is_set():
            found = wanted(self._house)
            if found is not None and found != refused:
                try:
                    keep(self._house, found, self._stopping)
                except Hopeless as error:
                    _log.error("no clicks from Slack: %s", error)
                    refused = found
            self._stopping.wait(LOOK_SECONDS)


def keep(house: Runtime, config: Slack, stopping: threading.Event) -> None:
    """Hold one line until told to stop, or until the policy says something else. Raises Hopeless."""
    line = Line(house, config, stopping)
    try:
        line.hold()
    finally:
        line.close()


def wanted(house: Runtime) -> Slack | None:
    """Return what the policy says of Slack, if that is Socket Mode; the last known while the database is away."""
    close_old_connections()
    try:
        snapshot = house.policies.reload()
    except DatabaseError:
        snapshot = house.policies.current
    config = snapshot.policy.config.channels.slack
    return config if config is not None and config.mode == "socket" else None


def _short(error: Exception) -> str:
    if isinstance(error, SlackApiError):
        return json.dumps(error.response.get("error", ""))[:80]
    return str(error) if isinstance(error, SecretUnavailable) else type(error).__name__
