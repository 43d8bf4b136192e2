"""One gateway for most modules here, with a connection for each kind of upstream; it is started once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.conformance import everything
from tests.conformance.configuration import everything_config
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.sse_server import of_the_sdk, serving
from tests.upstream import FakeUpstream, running
from tests.world import World, world

SECRET = "upstream-credential-Zq7vKx2mW9"
SESSION = "upstream-session-hT4nRb8sJc"
SHORT = "1s"  # after which something may expire or lapse here

_MASKING = [
    {"name": "people", "detectors": ["email"], "replace": "label"},
    {"name": "cards", "detectors": ["credit_card"], "replace": "partial"},
]

# connection: options of its upstream, and what differs in its configuration
CONNECTIONS: dict[str, tuple[dict[str, bool], dict[str, Any]]] = {
    people.CONNECTION: ({}, {}),
    "streams": ({"stream": True}, {}),
    "sessions": ({"sessions": True}, {}),
    "quick": ({}, {}),
    "faulty": ({"stream": False}, {"timeout": "1s", "max_answer": "1MiB", "max_body": "64KiB"}),
    "narrow": ({}, {"access": [{"groups": ["corp/engineering"], "tools": ["query", "echo"]}]}),
    "closed": ({}, {"access": [{"groups": ["security"]}]}),
}


def rules() -> list[dict[str, Any]]:
    """Return the rules of the shared gateway: a word in the arguments says what shall happen."""
    message = "Changing the schema is not allowed here."
    slow = {"tools": ["slow"], "connections": ["quick"]}
    return [
        word_rule("never-drop", "deny", r"(?i)\b(drop|truncate)\b", message=message),
        word_rule("writes-need-a-dba", "hold", r"(?i)\b(delete|update)\b", approval=one_dba()),
        word_rule("hasty", "hold", r"\bhasty\b", approval=one_dba(expires_after=SHORT)),
        word_rule("forgetful", "hold", r"\bforgetful\b", approval=one_dba(collect_within=SHORT)),
        word_rule("one-of-the-crew", "hold", r"\bcrew\b", approval=_of_crew(1)),
        word_rule("two-of-the-crew", "hold", r"\bpair\b", approval=_of_crew(2)),
        word_rule("explain-yourself", "hold", r"\bexplain yourself\b", approval=one_dba(reason="required")),
        {"name": "slow-needs-a-dba", "action": "hold", "match": slow, "approval": one_dba()},
        {"name": "no-failing", "action": "deny", "match": {"tools": ["fail"], "connections": ["narrow"]}},
    ]


def _of_crew(count: int) -> dict[str, Any]:
    return {"require": {"any_of": [{"groups": ["crew"], "count": count}]}}


def crew(url: str) -> dict[str, Any]:
    """Return groups and people with a crew in which requesters are as well, so that membership keeps nobody away.

    Root is an admin and no approver. Bob has a second account, and it is known to be his.
    """
    emails = [person.email for person in (people.ALICE, people.BOB, people.DAVE)]
    machines = [f"{url}|{people.AGENT.sub}", f"{url}/github|repo:acme/shop:ref:refs/heads/main"]
    seconds = [f"{url}|alice-2", f"{url}|bob-2"]
    return {
        "groups": {
            "dba": {"members": [people.ALICE.email, people.BOB.email]},
            "security": {"members": [people.CAROL.email]},
            "platform": {"members": [people.DAVE.email, "root@example.com"]},
            "crew": {"members": [*emails, *machines, *seconds]},
        },
        "people": [
            {"name": "Dave", "accounts": [f"{url}|{people.DAVE.sub}", f"{url}/github|{people.CI.actor_id}"]},
            {"name": "Bob", "accounts": [f"{url}|bob", f"{url}|bob-2"]},
        ],
    }


def connections(upstreams: dict[str, FakeUpstream]) -> dict[str, Any]:
    """Return the block `connections` for these upstreams, with two that reach none."""
    secret = {"header": "Authorization", "prefix": "Bearer ", "value": "env:UPSTREAM_TOKEN"}
    made = {
        name: connection(upstream.url, credential=secret, **CONNECTIONS[name][1])
        for name, upstream in upstreams.items()
    }
    # Nothing listens on port 1, and the other's credential was never set.
    unset = {"header": "X-Key", "value": "env:NOT_SET"}
    bare = connection(upstreams[people.CONNECTION].url, credential=unset)
    return {**made, "dead": connection("http://127.0.0.1:1/mcp"), "bare": bare}


@pytest.fixture(scope="session")
def issuer() -> Iterator[FakeIssuer]:
    """The company's identity provider, with its sibling for CI jobs."""
    with running_issuer() as corp:
        people.register_people(corp)
        yield corp


@pytest.fixture(scope="session")
def here(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shared gateway, running. Tests keep apart by markers; whoever changes its policy uses another one."""
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(running(**options)) for name, (options, _) in CONNECTIONS.items()}
        blocks = {"connections": connections(upstreams), "rules": rules(), **crew(issuer.url)}
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        folder = tmp_path_factory.mktemp("shared")
        upstreams["sessions"].session_prefix = SESSION
        login = {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
        made = stack.enter_context(world(folder, issuer, upstreams, text, UPSTREAM_TOKEN=SECRET, **login))
        made.start()
        yield made
        made.gateway.stop()


@pytest.fixture(scope="session")
def everything_upstream() -> Iterator[str]:
    """The everything server of the conformance suite."""
    with everything.running() as url:
        yield url


@pytest.fixture(scope="session")
def everything_gateway(
    everything_upstream: str, issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A gateway before that server, with rules for tools that the suite does not call, and masking.

    See `tests.conformance.configuration`.
    """
    text = everything_config(issuer.url, everything_upstream)
    with world(tmp_path_factory.mktemp("everything"), issuer, {}, text) as found:
        found.start()
        yield found
        found.gateway.stop()


@pytest.fixture(scope="session")
def between(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway before servers of one era each, which refuse the other one, for callers of both (`protocol`)."""
    with contextlib.ExitStack() as stack:
        older = stack.enter_context(everything.running("legacy"))
        newer = stack.enter_context(everything.running("modern"))
        old = stack.enter_context(serving(of_the_sdk(everything.everything())))
        watched = stack.enter_context(running(sessions=True))
        asks = {"server_requests": ["sampling", "elicitation", "roots"], "timeout": "20s"}
        made = {
            "older": connection(older, protocol="2025-11-25", **asks),
            "newer": connection(newer, protocol="2026-07-28", **asks),
            "old": connection(f"{old}/sse", protocol="2024-11-05", **asks),
            "older-closed": connection(older, protocol="2025-11-25"),
            "newer-closed": connection(newer, protocol="2026-07-28"),
            "older-brief": connection(older, protocol="2025-11-25", **{**asks, "timeout": "1s"}),
            "older-plain": connection(older),
            "newer-plain": connection(newer),
            "watched": connection(watched.url, protocol="2025-11-25", timeout="20s"),
        }
        blocks = {"connections": made, "rules": rules()[:2], "masking": _MASKING}
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        found = stack.enter_context(world(tmp_path_factory.mktemp("eras"), issuer, {"watched": watched}, text))
        found.start()
        yield found
        found.gateway.stop()
