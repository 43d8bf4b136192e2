"""What the caller may call, as far as that is known without arguments."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from approvals import access
from proxy.builtin.shapes import Connections, ConnectionSaid, RequestableSaid, RuleSaid
from proxy.protected_resource import connection_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from approvals.rules.ruleset import CompiledRule
    from proxy.builtin.question import Question
    from proxy.builtin.shapes import Nothing


def listed(question: Question, _given: Nothing) -> Connections:
    """Return the connections that the caller may use, and those to which they may ask for access; no others."""
    caller = question.caller
    return Connections(
        you=caller.display or caller.sub,
        kind=caller.kind,
        connections=tuple(_usable(question)),
        requestable=tuple(
            RequestableSaid(name=one.name, description=one.description or None, longest=one.max_duration)
            for one in access.requestable(question.policy)
        ),
    )


def _usable(question: Question) -> Iterator[ConnectionSaid]:
    policy, caller = question.policy, question.caller
    for name, configured in policy.config.connections.items():
        if not policy.may_use(caller, name):
            continue
        observing = configured.observing(time.time())
        yield ConnectionSaid(
            name=name,
            url=connection_url(question.public_url, name),
            description=configured.description,
            mode="observe" if observing else "enforce",
            tools=policy.tools_of(caller, name),
            otherwise=configured.default,
            rules=tuple(said(rule) for rule in policy.rules_about(caller, name)),
            access=policy.window_of(caller, name) or None,
            waits=configured.wait.seconds(caller.kind),
        )


def said(rule: CompiledRule) -> RuleSaid:
    """Return a rule as those hear of it whom it concerns."""
    return RuleSaid(
        name=rule.name,
        action=rule.action,
        tools=rule.tools,
        when="always" if rule.unconditional else "sometimes",
        who_decides=None if rule.terms is None else rule.terms.require.sentence,
        message=rule.message or None,
    )
