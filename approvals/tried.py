"""One call tried on a configuration, typed or recorded: the engine behind the admin's page and the API.

Nothing is forwarded, recorded or changed. Of a recorded call an admin is told no value: they do not read what was said.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from approvals.pastcalls import past_call
from approvals.policy import Policy
from approvals.rules.backtest import UNKNOWN, BackTest, word
from approvals.rules.trying import Heard, heard
from approvals.standing import caller_named
from approvals.verdicts import Block, Call, Hold, Verdict

if TYPE_CHECKING:
    from approvals.config.identity import Kind
    from approvals.config.schema import Config

NO_RULE = "There is no such rule among them."
NOT_RECORDED = "The record holds no call of this id that rules decide on."


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A call that nobody made. `who` as in `standing.caller_named`; `groups` are added."""

    connection: str
    name: str
    method: str = "tools/call"
    arguments: Any = None
    who: str = ""
    kind: Kind = "person"
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. `verdict` is None where what decides is masked or erased; `is_recorded`: values stay unseen."""

    verdict: Verdict | None
    call: Call | None
    rules: tuple[Heard, ...]
    is_recorded: bool
    was: str = ""

    @property
    def word(self) -> str:
        return UNKNOWN if self.verdict is None else word(self.verdict)

    @property
    def message(self) -> str:
        """What the caller would be told."""
        if isinstance(self.verdict, Block):
            return self.verdict.message
        return self.verdict.terms.message if isinstance(self.verdict, Hold) else ""

    @property
    def approvers(self) -> tuple[str, ...]:
        """The groups that would be asked."""
        return tuple(sorted(self.verdict.terms.require.groups)) if isinstance(self.verdict, Hold) else ()

    def of_rule(self, name: str) -> Tried:
        """Return the same with this rule alone told of; the verdict is that of all of them."""
        return replace(self, rules=tuple(one for one in self.rules if name in ("", one.rule.name)))


def has_rule(config: Config, name: str) -> bool:
    """Say whether a rule of this name is in force by the configuration, its own or a pack's."""
    return any(rule.name == name for rule in config.in_force.rules)


def try_typed(config: Config, typed: Typed) -> Tried:
    """Judge a call that was typed, at this moment."""
    policy = Policy.compile(config)
    call = Call(
        caller=caller_named(typed.who, typed.kind, typed.groups, policy),
        connection=typed.connection,
        method=typed.method,
        name=typed.name,
        arguments=typed.arguments,
    )
    return Tried(policy.judge(call), call, tuple(heard(config, call, time.time())), is_recorded=False)


def try_recorded(config: Config, call_id: str, *, shows_values: bool = False) -> Tried | None:
    """Judge a call of the record at the moment of then; None when there is none that rules decide on.

    `shows_values` for who may read what calls carried, masked.
    """
    past = past_call(config, call_id)
    if past is None:
        return None
    test = BackTest(Policy.compile(config))
    verdict = test.judge(past)
    if past.caller is None or past.arguments is None:
        return Tried(None, None, (), is_recorded=True, was=past.was)
    call = Call(
        caller=test.standing(past.caller),
        connection=past.connection,
        method=past.method,
        name=past.name,
        arguments=past.arguments,
    )
    # Which condition held is told, on what it held is not.
    rules = tuple(heard(config, call, past.at.timestamp()))
    if not shows_values:
        rules = tuple(_without_values(one) for one in rules)
    return Tried(verdict, call, rules, is_recorded=True, was=past.was)


def _without_values(one: Heard) -> Heard:
    return replace(one, findings=tuple(replace(found, places=()) for found in one.findings))
