"""What the person at the terminal sees while people decide: held, where, who decides, how long still."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

# On a terminal a sign of life every ten seconds is calm; in a job's log once a minute is.
LOG_SECONDS = 60.0
# How a sign of life names the request that the call waits for.
_APPROVAL = re.compile(r"approval ([0-9A-Za-z-]{1,64})")


@dataclass(slots=True)
class Watcher:
    """Prints to `out`. `look` returns the open approval of this id as the API shows it, or None."""

    out: TextIO
    now: Callable[[], float]
    look: Callable[[str], Mapping[str, Any] | None]
    _told: str = ""
    _last: float | None = None

    def say(self, text: str) -> None:
        """Print one line. Control characters of others cannot move the terminal."""
        self.out.write(f"{printable(text)}\n")
        self.out.flush()

    def on_progress(self, message: str) -> None:
        """Take note of a sign of life: the first one, and later ones now and then, become a line."""
        now = self.now()
        calm = 0.0 if self.out.isatty() else LOG_SECONDS
        if self._last is not None and now - self._last < calm:
            return
        self._last = now
        named = _APPROVAL.search(message)
        approval = self.look(named[1]) if named else None
        if approval is None:
            self.say(message or "The call is under way.")
            return
        if approval["id"] != self._told:
            self._told = approval["id"]
            for line in held_lines(approval):
                self.say(line)
        self.say(f"Waiting for a decision; {_left(approval)}.")


def held_lines(approval: Mapping[str, Any]) -> list[str]:
    """Return what to say when the call turns out to be held."""
    tool, rule = approval.get("tool") or "the call", approval.get("rule") or "a rule"
    lines = [f"HELD: {tool} waits for approval {approval['id']} (rule {rule}). Nothing was executed yet."]
    if who := _who(approval.get("require")):
        lines.append(f"  who decides: {who}")
    if url := approval.get("url"):
        lines.append(f"  where:       {url}")
    return lines


def _who(require: Any) -> str:
    if not isinstance(require, Mapping):
        return ""
    if isinstance(each := require.get("each"), list):  # several rules hold the call
        return "; and ".join(filter(None, map(_who, each)))
    for form, joint in (("any_of", " or "), ("all_of", " and ")):
        places = require.get(form)
        if isinstance(places, list):
            return joint.join(_place(place) for place in places if isinstance(place, Mapping))
    return ""


def _place(place: Mapping[str, Any]) -> str:
    groups = place.get("groups")
    names = ", ".join(str(name) for name in groups) if isinstance(groups, list) else "?"
    return f"{place.get('count', 1)} of {names}"


def _left(approval: Mapping[str, Any]) -> str:
    try:
        expires = datetime.datetime.fromisoformat(str(approval.get("expires_at")))
        left = int((expires - datetime.datetime.now(datetime.UTC)).total_seconds())
    except (ValueError, TypeError):
        return "nobody has decided yet"
    minutes, seconds = divmod(max(left, 0), 60)
    return f"{minutes}:{seconds:02} left"


def printable(text: str) -> str:
    """Return text for a terminal: control and format characters become spaces."""
    return "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char for char in text)
