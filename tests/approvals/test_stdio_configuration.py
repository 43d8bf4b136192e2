"""What a stdio connection may say, and who may say it."""

from __future__ import annotations

import pytest

from approvals import stdio_commands
from approvals.config.loader import ConfigError, load

GOOD = """\
connections:
  tools:
    transport: stdio
    command: [mcp-server-git, --repository, /srv/repo]
    environment: {GIT_AUTHOR_NAME: holdgate, GIT_TOKEN: "env:GIT_TOKEN"}
    cwd: /srv
    limits: {memory: 256MiB, idle: 5m}
    default: allow
"""
WRONG = [
    ("command: [mcp-server-git, --repository, /srv/repo]", "command: mcp-server-git", "command", "a list"),
    ("command: [mcp-server-git, --repository, /srv/repo]", "command: []", "command", "empty"),
    ("command: [mcp-server-git, --repository, /srv/repo]", "", "command", "required"),
    ("cwd: /srv", "url: http://x.example/mcp", "url", "not for transport stdio"),
    ("cwd: /srv", 'credential: {header: X-Key, value: "env:A"}', "credential", "not for transport stdio"),
    ("cwd: /srv", "cwd: srv", "cwd", "absolute path"),
    ("cwd: /srv", "protocol: 2024-11-05", "protocol", "for servers on the network"),
    ('"env:GIT_TOKEN"', "secret", "environment.GIT_TOKEN", "reference"),
    ('"env:GIT_TOKEN"', '"file:relative"', "environment.GIT_TOKEN", "reference"),
    ("GIT_AUTHOR_NAME:", '"a=b":', "environment", "environment variable"),
    ("memory: 256MiB", "memory: 256MB", "limits.memory", "a size"),
    ("memory: 256MiB", "grace: 1h", "limits.grace", "at most 30s"),
    ("memory: 256MiB", "threads: 3", "limits.threads", "unknown key"),
    ("cwd: /srv", "shared: yes", "shared", "true or false"),
]


def test_a_stdio_connection_loads() -> None:
    connection = load(GOOD).connections["tools"]
    assert connection.command == ("mcp-server-git", "--repository", "/srv/repo")
    assert (connection.limits.memory, connection.limits.idle, connection.limits.children) == (256 << 20, 300, 16)
    assert not connection.shared


@pytest.mark.parametrize(("old", "new", "key", "reason"), WRONG)
def test_what_is_wrong_is_said_with_line_key_and_reason(old: str, new: str, key: str, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))
    (problem,) = caught.value.problems
    assert problem.key == f"connections.tools.{key}"
    assert reason in problem.reason
    assert problem.line > 0
    assert "secret" not in str(problem).replace("a secret", "")


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("", False),
        ("mcp-server-git", True),
        ("other, mcp-server-git --repository", True),
        ("mcp-server-git '--repository' /srv/repo", True),
        ("mcp-server-git --repository /srv/repo more", False),
        ("mcp-server-git --repository /srv", False),
        ("git", False),
    ],
)
def test_a_command_must_begin_with_one_that_the_operator_names(setting: str, allowed: bool) -> None:
    command = load(GOOD).connections["tools"].command
    assert command is not None
    assert stdio_commands.is_allowed(command, stdio_commands.parse(setting)) is allowed


def test_another_way_than_the_file_may_start_nothing_else() -> None:
    before = load(GOOD)
    stdio_commands.require_same(before, load(GOOD.replace("default: allow", "default: deny")))
    stdio_commands.require_same(before, load("connections: {}"))
    http = "connections: {tools: {url: 'http://x.example/mcp', default: allow}}"
    stdio_commands.require_same(before, load(http))
    for changed in (GOOD.replace("/srv/repo", "/etc"), GOOD.replace("tools:", "others:"), GOOD.replace("5m", "6m")):
        with pytest.raises(ConfigError):
            stdio_commands.require_same(before, load(changed))
    with pytest.raises(ConfigError):
        stdio_commands.require_same(load(http), before)
