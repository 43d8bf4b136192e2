"""The detectors by name: what finds them in plain text, and what must be in raw JSON.

Pure: no Django, no I/O.

Every pattern runs on google-re2 over bytes: time linear in the input, no backtracking.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from masking import addresses, birthdates, dsn, entropy, identities
from masking.cards import find_cards, may_hold_card
from masking.checksums import IBAN_COUNTRIES, is_card
from masking.folding import plain_bytes, same_name
from masking.patterns import Pattern, Span
from masking.personal import (
    PHONE_NAME,
    SSN_NAME,
    find_emails,
    find_ibans,
    find_named_phones,
    find_named_ssns,
    find_phones,
    find_ssns,
    is_nine_digits_of_ssn,
    is_phone,
    may_hold_iban,
)
from masking.providers import PROVIDER_KEYS
from masking.secrets import (
    ASSIGNED_NAME,
    KEY_NAME,
    TOLD_HINT,
    find_api_keys,
    find_bearers,
    find_passwords,
    find_private_keys,
    is_key_value,
    is_password,
)

_NUMBERS: Final = (int, float)
LONGEST_KEPT_NAME: Final = 64  # names come from outside
_MEMORY: Final = 32 << 20  # bytes for the automaton of a set; the default of 8 MiB is too little


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One kind of sensitive value.

    `find` yields spans in plain UTF-8 text. `hint` is an RE2 pattern found in every JSON text, escaped or
    not, in which `find` would find something (a wider net, never a narrower one); `confirm` looks a second
    time at raw JSON with the hint in it, where the hint alone is too wide. `closed` says that every
    character of what it finds is checked, so that nothing else can hide in it. `across` says that neither a
    span nor what is looked at around it reaches over a line end and a control character, so that many texts
    can be searched as one. `behind` finds more of them, behind one of its names. `names` is what the name of a
    key or column ends with whose value it hides, if it does not end with `innocent` and the value `fits`; without
    `fits` every value does.
    """

    name: str
    find: Callable[[bytes], Iterable[Span]]
    hint: str
    confirm: Callable[[bytes], bool] | None = None
    behind: Callable[[bytes], Iterable[Span]] | None = None
    closed: bool = True
    across: bool = True
    names: str = ""
    innocent: str = ""
    fits: Callable[[bytes], bool] | None = None

    def finds(self, text: bytes) -> bool:
        """Say whether there is anything to find in plain UTF-8 text."""
        return any(True for _ in self.find(text)) or (self.behind is not None and any(True for _ in self.behind(text)))


# In raw JSON a value may follow an escaped line end, whose letter touches it.
_EDGE: Final = r"(?:^|[^0-9A-Za-z_]|\\[nrtbf])"
# A name may be assigned to, but also head a column or stand beside its value.
_WORD_END: Final = r"(?:[^0-9A-Za-z]|$)"

_TABLE: Final = (
    Detector(
        name="bearer_token",
        find=find_bearers,
        hint=r"(?i:bearer)(?:[\s:]|\\+[nrt])+[A-Za-z0-9\-._~+/]{8}|eyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*\.",
    ),
    Detector(
        name="password_assignment",
        find=find_passwords,
        hint=rf"(?i:{ASSIGNED_NAME}){_WORD_END}|://[^\s/@:\"'<>]*:[^\s/@\"'<>]+@|{TOLD_HINT}",
        closed=False,
        across=False,
        names=ASSIGNED_NAME,
        fits=is_password,
    ),
    Detector(name="private_key", find=find_private_keys, hint=r"PRIVATE KEY", closed=False, across=False),
    Detector(
        name="api_key",
        find=find_api_keys,
        hint=rf"{_EDGE}(?:{PROVIDER_KEYS})|(?i:{KEY_NAME}){_WORD_END}",
        closed=False,
        across=False,
        names=KEY_NAME,
        fits=is_key_value,
    ),
    Detector(
        name="connection_string",
        find=dsn.find_connection_strings,
        hint=dsn.HINT,
        closed=False,
    ),
    Detector(
        name="secret",
        find=entropy.find_secrets,
        hint=rf"(?i:{entropy.SECRET_NAME}){_WORD_END}|{entropy.HINT}",
        confirm=entropy.may_hold_secret,
        closed=False,
        across=False,
        names=entropy.SECRET_NAME,
        innocent=entropy.INNOCENT_NAME,
        fits=entropy.is_chance,
    ),
    Detector(name="credit_card", find=find_cards, hint=r"[0-9](?:[ \-._]?[0-9]){11}", confirm=may_hold_card),
    Detector(
        name="iban",
        find=find_ibans,
        hint=rf"(?i:{'|'.join(IBAN_COUNTRIES)})[0-9]{{2}}[ \-]?[A-Za-z0-9]{{2}}",
        confirm=may_hold_iban,
    ),
    Detector(
        name="us_ssn",
        find=find_ssns,
        hint=rf"[0-9]{{3}}[ \-][0-9]{{2}}[ \-][0-9]{{4}}|(?i:{SSN_NAME}){_WORD_END}",
        behind=find_named_ssns,
        names=SSN_NAME,
        fits=is_nine_digits_of_ssn,
    ),
    Detector(
        name="national_id",
        find=identities.find_identities,
        hint=identities.HINT,
        across=False,
        names=identities.IDENTITY_NAME,
        fits=identities.is_identity,
    ),
    Detector(
        name="date_of_birth",
        find=birthdates.find_birthdates,
        hint=birthdates.HINT,
        across=False,
        names=birthdates.BIRTH_NAME,
        fits=birthdates.is_date,
    ),
    Detector(name="email", find=find_emails, hint=r"[^\s@]@[\pL\pN][\pL\pN\-.]*\.[\pLx]"),
    Detector(
        name="phone",
        find=find_phones,
        hint=r"\+\(?[1-9](?:[ .\-/()]{0,3}[0-9]){6}|[2-9][0-9]{2}\)?[ .\-]?[0-9]{3}[ .\-][0-9]{4}"
        rf"|{_EDGE}\(?0[1-9][0-9]{{1,4}}\)?[ .\-/]{{1,3}}[0-9]{{2}}|{_EDGE}0[1-9](?:[ .\-][0-9]{{2}}){{4}}"
        rf"|{_EDGE}00[1-9][0-9]{{0,2}}[ .\-/][0-9]|(?i:{PHONE_NAME}){_WORD_END}",
        behind=find_named_phones,
        names=PHONE_NAME,
        fits=is_phone,
    ),
    Detector(name="ip_address", find=addresses.find_addresses, hint=addresses.HINT, confirm=addresses.may_hold_address),
)
BY_NAME: Final[Mapping[str, Detector]] = {detector.name: detector for detector in _TABLE}
DETECTORS: Final = frozenset(BY_NAME)


def key_rules(detectors: Iterable[Detector]) -> tuple[tuple[str, Pattern], ...]:
    """Return the detectors that know names, each with the pattern that a name it knows ends with."""
    return tuple((detector.name, Pattern(f"(?i){detector.names}$")) for detector in detectors if detector.names)


_KEY_RULES: Final = key_rules(_TABLE)
_INNOCENT: Final = {detector.name: Pattern(f"(?i){detector.innocent}$") for detector in _TABLE if detector.innocent}


class PatternSet:
    """Several RE2 patterns searched in one pass; tells which of them are found."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        self._empty = not patterns
        self._set = re2.Set.SearchSet(options)
        for pattern in patterns:
            self._set.Add(pattern.encode())
        if patterns:
            self._set.Compile()

    def found(self, text: bytes) -> list[int]:
        """Return the positions of the patterns that are found in the bytes."""
        return [] if self._empty else self._set.Match(text) or []


@lru_cache(maxsize=64)
def pattern_set(patterns: tuple[str, ...]) -> PatternSet:
    """Return the set of these patterns, compiled once for all readers who need the same."""
    return PatternSet(patterns)


def of_key(name: str, detectors: Iterable[str]) -> str | None:
    """Return which of these detectors hides the value of a key, column or variable of this name."""
    return next((detector for detector in knowing(name) if detector in detectors), None)


def knowing(name: str) -> tuple[str, ...]:
    """Return all detectors that hide values under a key, column or variable of this name, if the value fits."""
    return _knowing(name) if len(name) <= LONGEST_KEPT_NAME else _knowing.__wrapped__(name)


@lru_cache(maxsize=4096)
def _knowing(name: str) -> tuple[str, ...]:
    """Return the detectors that know this name. Remembered: documents have the same few keys again and again."""
    encoded = same_name(name).encode("utf-8", "replace")
    return tuple(
        detector
        for detector, pattern in _KEY_RULES
        if pattern.span(encoded) and not (detector in _INNOCENT and _INNOCENT[detector].span(encoded))
    )


def hides_value(detector: str, value: object) -> bool:
    """Say whether a detector that knows a key's name hides this value: never a switch or an object."""
    if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, _NUMBERS)):
        return False
    known = BY_NAME.get(detector)
    return known is None or known.fits is None or known.fits(plain_bytes(str(value)))


def is_card_number(number: int) -> bool:
    """Say whether a JSON integer is a payment card number."""
    return 10**11 <= abs(number) < 10**19 and is_card(b"%d" % abs(number))


def detect(value: Any, names: Iterable[str]) -> frozenset[str]:
    """Return which of the named detectors find something in a parsed JSON value: strings, keys, integers.

    This is what `contains: [credit_card, …]` in a rule asks. Iterative, so depth is no matter.
    """
    wanted = [BY_NAME[name] for name in names]
    found: set[str] = set()
    for text in _texts(value, found):
        view = plain_bytes(text)
        found.update(detector.name for detector in wanted if detector.finds(view))
    return frozenset(found).intersection(names)


def _texts(value: Any, found: set[str]) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            for key, member in item.items():
                yield key
                found.update(name for name in knowing(key) if hides_value(name, member))
                waiting.append(member)
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, int) and not isinstance(item, bool) and is_card_number(item):
            found.add("credit_card")
