"""Detectors that an admin writes: a pattern for RE2, perhaps a check sum, and names whose values it hides. Pure.

RE2 keeps the time linear in the text; the limits here keep its factor small, and the prefilter within its memory.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import re2

from masking.checksums import luhn, mod11_2, mod11_10, mod97, verhoeff
from masking.detectors import BY_NAME, Detector
from masking.folding import same_name
from masking.patterns import Pattern, Span
from masking.secrets import ASSIGNS, assigned

LONGEST_PATTERN: Final = 500
MOST_INSTRUCTIONS: Final = 1_000
"""Of RE2's program for one pattern; `[0-9]{6}` has about ten."""
MOST_DETECTORS: Final = 50
MOST_NAMES: Final = 20

CHECKSUMS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "luhn": luhn,
    "mod97": mod97,
    "mod11-2": mod11_2,
    "mod11-10": mod11_10,
    "verhoeff": verhoeff,
}
"""What may check the letters and digits of a match, by name. Each takes them in upper-case ASCII."""

_FEWEST_CHECKED: Final = 4
_SEPARATORS: Final = b" -._/"
_ANYTHING: Final = r"(?s:.)"
_ESCAPED: Final = r"\\+(?s:u[0-9A-Fa-f]{4}|.)"
_MOST_WIDENED: Final = 10 * MOST_INSTRUCTIONS
_TOKEN: Final = re.compile(
    r"\\Q.*?(?:\\E|\Z)|\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[^}]*\}|[0-9A-Fa-f]{2})|\\.|\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]|.",
    re.DOTALL,
)
_ASSERTIONS: Final = frozenset(("^", "$", r"\b", r"\B", r"\A", r"\z"))
_STRUCTURE: Final = frozenset("()|*+?{}")
# What JSON writes as something else, so that a pattern that finds it in a text may not find it in a document.
_ESCAPED_IN_JSON: Final = ('"', "\\", *map(chr, range(0x20)))


class PatternRefused(ValueError):
    """RE2 does not take the pattern, or it costs too much, or it finds nothing at all in every text."""


def custom_detector(name: str, pattern: str, *, checksum: str = "", names: Sequence[str] = ()) -> Detector:
    """Return the detector. `checksum` is a name of CHECKSUMS; `names` those of keys and columns whose value it hides.

    Raises PatternRefused with the reason.
    """
    if name in BY_NAME:
        raise PatternRefused(f"{name} is the name of a detector that comes with the gateway")
    _check(pattern)
    searched, check = Pattern(pattern, _options()), CHECKSUMS[checksum] if checksum else None
    named = "|".join(map(_spelled, names))
    assigning = Pattern(rf"(?i)(?:^|[^\pL\pN])(?:{named}){ASSIGNS}") if named else None

    def find(text: bytes) -> Iterator[Span]:
        for span in searched.spans(text):
            if check is None or passes(text[slice(*span)], check):
                yield span
        if assigning is not None:
            for _, span in assigned(assigning, text):
                yield span

    return Detector(
        name=name,
        find=find,
        hint=f"{_widened(pattern)}|(?i:{named})" if named else _widened(pattern),
        closed=False,
        across=False,
        names=rf"(?:^|[^\pL\pN])(?:{named})" if named else "",
    )


def passes(found: bytes, check: Callable[[bytes], bool]) -> bool:
    """Say whether what was found, without spaces and separators, has letters and digits that check."""
    compact = found.translate(None, _SEPARATORS).upper()
    return len(compact) >= _FEWEST_CHECKED and compact.isalnum() and check(compact)


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _check(pattern: str) -> None:
    """Raise PatternRefused, with what is wrong in words that help to mend it."""
    if len(pattern) > LONGEST_PATTERN:
        raise PatternRefused(f"is longer than {LONGEST_PATTERN} characters")
    try:
        compiled = re2.compile(pattern.encode(), _options())
        empty = re2.compile("".join(_bare(pattern)).encode(), _options())
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternRefused(f"is not a pattern that RE2 accepts: {_told(error)}") from None
    if (size := compiled._regexp.ProgramSize()) > MOST_INSTRUCTIONS:
        raise PatternRefused(
            f"is too expensive: {size} instructions, at most {MOST_INSTRUCTIONS};"
            " shorten its repetitions, or say [a-z] where it says any letter of Unicode"
        )
    if empty.fullmatch(b""):
        raise PatternRefused("matches the empty text, and so would match everywhere; say + where it says *")


def _told(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def _spelled(name: str) -> str:
    """Return the pattern of a name in its spellings: `employee id`, `employee_id`, `employeeId`."""
    return r"[_\- ]?".join(re2.escape(word) for word in re.split(r"[_\- ]+", same_name(name)) if word)


def _bare(pattern: str) -> Iterable[str]:
    """Yield the pattern without what only looks around: where it matches nothing, this does."""
    for token in _TOKEN.findall(pattern):
        yield "(?:)" if token in _ASSERTIONS else token


def _widened(pattern: str) -> str:
    r"""Return a pattern found in every JSON text whose strings hold a match; that of any character if in doubt.

    What looks around is left out, since escapes stand there in JSON; what JSON may escape is also taken escaped,
    once or, inside of JSON in text, several times.
    """
    pieces = []
    for part in _bare(pattern):
        if part in _STRUCTURE or part == "(?:)" or not _may_be_escaped(part):
            pieces.append(part)
        elif part.startswith(r"\Q"):
            return _ANYTHING
        else:
            pieces.append(f"(?:{_ESCAPED}|{part})")
    widened = f"(?:{''.join(pieces)})"
    try:
        compiled = re2.compile(widened.encode(), _options())
    except re2.error:
        return _ANYTHING
    return widened if compiled._regexp.ProgramSize() <= _MOST_WIDENED else _ANYTHING


def _may_be_escaped(token: str) -> bool:
    if token.startswith(r"\Q"):
        return any(character in token[2:].removesuffix(r"\E") for character in _ESCAPED_IN_JSON)
    try:
        one = re2.compile(f"(?s:{token})".encode(), _options())
    except re2.error:
        return True
    return any(one.fullmatch(character.encode()) for character in _ESCAPED_IN_JSON)
