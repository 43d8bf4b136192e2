"""Who may say which programs the gateway starts: the operator, twice.

A command in a configuration is code that runs where the gateway runs. So the environment of the gateway must name it
(`HOLDGATE_STDIO_COMMANDS`), and it must come from the configuration file on the server: neither the API nor the admin
can add or change what is started.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from approvals.config.problems import ConfigError, Location, Problem
from approvals.config.reading import read
from approvals.config.schema import Config

SETTING = "HOLDGATE_STDIO_COMMANDS"
# What decides what is started, with what, and for whom.
STARTS = ("transport", "command", "environment", "cwd", "shared", "limits")


def parse(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands of the setting: separated by commas, each split into words as a shell would.

    Raises ValueError when quotes do not match.
    """
    return tuple(words for entry in text.split(",") if (words := tuple(shlex.split(entry))))


def is_allowed(command: Sequence[str], allowed: Sequence[Sequence[str]]) -> bool:
    """Say whether a command begins with the words of one that is allowed."""
    return any(tuple(command[: len(words)]) == tuple(words) for words in allowed)


def configured() -> tuple[tuple[str, ...], ...]:
    """Return the commands that this process allows. Raises ImproperlyConfigured."""
    try:
        return parse(settings.STDIO_COMMANDS)
    except ValueError as error:
        msg = f"{SETTING}: {error}."
        raise ImproperlyConfigured(msg) from error


def require_listed(text: str) -> None:
    """See that a configuration file starts only what the operator allows. Raises ConfigError, with the lines."""
    document = read(text)
    problems = [document.problem(*found) for found in unlisted(document.data, configured())]
    if problems:
        raise ConfigError(problems)


def unlisted(data: Any, allowed: Sequence[Sequence[str]]) -> Iterator[tuple[Location, str]]:
    """Yield location and reason of each command in the plain data of a configuration that is not allowed."""
    connections = data.get("connections") if isinstance(data, dict) else None
    for name, connection in connections.items() if isinstance(connections, dict) else ():
        command = connection.get("command") if isinstance(connection, dict) else None
        if isinstance(command, list) and not is_allowed([str(word) for word in command], allowed):
            here = f"the operator must name it in {SETTING}, in the gateway's environment"
            yield ("connections", name, "command"), f"is not a command that may be started: {here}"


def require_same(before: Config, wanted: Config) -> None:
    """See that a change that did not come from the file starts nothing new. Raises ConfigError."""
    problems = []
    for name, connection in wanted.connections.items():
        was = before.connections.get(name)
        if connection.transport != "stdio":
            continue
        changed = [key for key in STARTS if was is None or getattr(was, key) != getattr(connection, key)]
        if changed:
            key = "command" if "transport" in changed else changed[0]
            reason = "what is started is said in the configuration file on the server alone; apply it there"
            problems.append(Problem(0, f"connections.{name}.{key}", reason))
    if problems:
        raise ConfigError(problems)
