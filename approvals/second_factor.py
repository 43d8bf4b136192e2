"""Fresh second factors: what a browser's sign-in proved, and whether a decision may rest on it. Pure.

`amr` and `acr` (OpenID Connect Core §2, RFC 8176) are the provider's own words; which of them show a second factor is
configured for each issuer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from approvals.config.schema import Issuer
    from approvals.verdicts import Caller
    from sessions.events import Fact

KEPT_IN = "holdgate_sign_in"
# What goes into the record for good is an identifier and never text.
_WORD = re.compile(r"[!-~]{1,200}")
_WORDS_AT_MOST = 20
# Clocks of providers and of the gateway differ a little.
SKEW_SECONDS = 60

NOT_HERE = "This request needs a fresh sign-in with a second factor; decide it on the dashboard."
TOO_OLD = "This request needs a sign-in of the last {}. Sign in again, with your second factor."
NO_TIME = "Your identity provider does not say when you signed in (auth_time), so that nothing shows a fresh sign-in."
NO_FACTOR = "Your identity provider does not say that you used a second factor (amr, acr). Sign in again and use one."


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in: of whom, when it was in seconds since 1970 (0: not told), and how it was shown who they are."""

    iss: str
    sub: str
    at: int
    amr: tuple[str, ...]
    acr: str

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any], *, now: float) -> Self:
        """Return what verified claims say. A time in the future, and whatever has an odd form, counts as not told."""
        at, amr, acr = claims.get("auth_time"), claims.get("amr"), claims.get("acr")
        told = isinstance(at, int | float) and not isinstance(at, bool) and 0 < at <= now + SKEW_SECONDS
        return cls(
            iss=str(claims["iss"]),
            sub=str(claims["sub"]),
            at=int(min(at, now)) if told and isinstance(at, int | float) else 0,
            amr=_words(amr if isinstance(amr, list) else [amr]),
            acr=next(iter(_words([acr])), ""),
        )

    def keep(self, session: Any) -> None:
        """Keep it in a browser's session."""
        session[KEPT_IN] = asdict(self)

    @classmethod
    def kept(cls, session: Any) -> Self | None:
        """Return what `keep` has kept; None for the links of the demo."""
        found = session.get(KEPT_IN)
        return cls(**{**found, "amr": tuple(found["amr"])}) if found else None

    def facts(self) -> dict[str, Fact]:
        """Return what the record of a vote says of it."""
        return {"auth_time": self.at, "amr": list(self.amr), "acr": self.acr}


def _words(values: list[Any]) -> tuple[str, ...]:
    sound = (value for value in values if isinstance(value, str) and _WORD.fullmatch(value))
    return tuple(dict.fromkeys(sound))[:_WORDS_AT_MOST]


def lacking(sign_in: SignIn | None, caller: Caller, issuer: Issuer | None, *, now: float, within: float) -> str:
    """Return in plain words what is missing for a decision that needs a fresh second factor; empty when nothing is.

    `now` in seconds since 1970; the sign-in must be at most `within` seconds old.
    """
    if sign_in is None or issuer is None or (sign_in.iss, sign_in.sub) != (caller.iss, caller.sub):
        return NOT_HERE
    if not sign_in.at:
        return NO_TIME
    if now - sign_in.at > within:
        return TOO_OLD.format(f"{within / 60:.0f} minutes" if within >= 120 else f"{within:.0f} seconds")
    wanted = issuer.factors
    return "" if set(sign_in.amr) & set(wanted.amr) or sign_in.acr in wanted.acr else NO_FACTOR
