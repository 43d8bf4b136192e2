"""Calling until there is an outcome: waiting on while people decide, and coming back after a broken
connection.

Every attempt carries the same Idempotency-Key, so that a repeat joins the call and makes no second one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from proxy.client.attempt import Attempted
from proxy.client.outcomes import TROUBLE, UNKNOWN, Answered, Lost, Outcome, Refused
from proxy.client.tokens import TokenUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
# How often to knock at a gateway that never answered: a wrong address should not cost half an hour.
FIRST_KNOCKS = 4
# How long to look for a gateway that went away, where the caller's own wait is shorter.
RETURN_SECONDS = 60.0
_AT_THE_DOOR = frozenset(
    {
        "unauthenticated",
        "forbidden",
        "rate_limited",
        "record_unavailable",
        "policy_unavailable",
        "shutting_down",
        "idempotency_conflict",
    }
)
_WAIT = re.compile(r"([0-9]{1,6})(s|m|h)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}


def parse_wait(text: str) -> float:
    """Return seconds from `0`, `90`, `45s`, `30m` or `2h`. Raises ValueError."""
    found = _WAIT.fullmatch(text)
    if found is None:
        msg = "must be a number of seconds, or a duration such as 45s, 30m or 2h"
        raise ValueError(msg)
    return float(int(found[1]) * _SECONDS[found[2]])


@dataclass(slots=True, kw_only=True)
class Calling:
    """One call with all its attempts.

    `attempt` makes it once with an authorization and the header fields of the call; `token` gets a fresh
    token; `now` and `sleep` are the clock; `say` tells the person at the terminal.
    """

    attempt: Callable[[Mapping[str, str], Mapping[str, str]], Attempted]
    token: Callable[[], str]
    now: Callable[[], float]
    sleep: Callable[[float], None]
    say: Callable[[str], None]
    key: str
    wait: float
    reason: str = ""
    approval: str = ""
    authorization: Mapping[str, str] = field(default_factory=dict)
    # The call may have left us at some time, so only an answer can say that nothing was executed.
    _sent: bool = False
    _answered: bool = False
    _losses: int = 0
    _gone_since: float = 0.0

    def run(self) -> tuple[int, Answered | Refused | None]:
        """Return the exit code and the last thing the gateway said. Raises TokenUnavailable."""
        deadline = self.now() + self.wait
        while True:
            outcome = self._once(deadline)
            if isinstance(outcome, Lost):
                pause = self._pause_after(outcome, deadline)
            else:
                pause = self._pause_before_joining(outcome, deadline)
            if pause is None:
                return self._end(outcome)
            self.sleep(pause)

    def _once(self, deadline: float) -> Outcome:
        try:
            self.authorization = {"Authorization": f"Bearer {self.token()}"}
        except TokenUnavailable:
            if not self._answered:
                raise
            return Lost("no fresh identity token could be had", sent=False)
        attempted = self.attempt(self.authorization, self._knobs(deadline))
        outcome = attempted.outcome
        if isinstance(outcome, Lost):
            self._sent = self._sent or outcome.sent
            return outcome
        self._answered, self._losses = True, 0
        self._sent = self._sent and not (attempted.of_the_call and _is_verdict(outcome))
        if isinstance(outcome, Refused):
            self.approval = outcome.approval or self.approval
        return outcome

    def _knobs(self, deadline: float) -> dict[str, str]:
        knobs = {
            "Prefer": f"wait={max(0, int(deadline - self.now()))}",
            "Idempotency-Key": self.key,
            "Holdgate-Reason": " ".join(self.reason.split()),
            "Holdgate-Approval": self.approval,
        }
        return {name: value for name, value in knobs.items() if value}

    def _pause_before_joining(self, outcome: Answered | Refused, deadline: float) -> float | None:
        """Return how long to pause before the same call is sent again, None when this is the outcome."""
        if isinstance(outcome, Answered) or not (outcome.is_pending or outcome.is_passing):
            return None
        left = deadline - self.now()
        # Whole seconds are what can be asked for; less than one would make a round for nothing.
        if left < 1:
            return None
        if not outcome.is_pending:
            self.say(f"{outcome.message} Trying again.")
        asked = outcome.retry_after if outcome.retry_after is not None else FIRST_PAUSE
        return min(max(asked, FIRST_PAUSE), LONGEST_PAUSE, left)

    def _pause_after(self, lost: Lost, deadline: float) -> float | None:
        """Return how long to pause before the gateway is looked for again, None to give up."""
        self._losses += 1
        known = self._answered or self._sent
        if not known and self._losses >= FIRST_KNOCKS:
            return None
        if self._losses == 1:
            self._gone_since = self.now()
        if known and self.now() >= max(deadline, self._gone_since + RETURN_SECONDS):
            return None
        pause = min(FIRST_PAUSE * 2.0 ** min(self._losses - 1, 10), LONGEST_PAUSE)
        pause = max(pause, min(lost.retry_after or 0, LONGEST_PAUSE))
        self.say(f"No answer: {lost.why}. Trying again in {pause:g} s; the same call joins what was begun.")
        # Many jobs that lost the same gateway should not all come back in the same moment.
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing

    def _end(self, outcome: Outcome) -> tuple[int, Answered | Refused | None]:
        said = None if isinstance(outcome, Lost) else outcome
        if self._sent:
            self.say("The connection broke during the call. It is not known whether it was executed.")
            return UNKNOWN, said
        if isinstance(outcome, Lost):
            self.say(f"The gateway cannot be reached: {outcome.why}. Nothing was executed.")
            return TROUBLE, None
        return outcome.exit_code, said


def _is_verdict(outcome: Answered | Refused) -> bool:
    """Say whether an answer speaks of the call that was sent before, too; a refusal at the door does not."""
    return isinstance(outcome, Answered) or outcome.reason not in _AT_THE_DOOR
