"""Dates of birth: a date in a field, column or phrase that says that it is one. Pure.

Precision, on purpose: a date alone is no date of birth, so there must be a name in one of the languages below, right
before it; and what stands there must be a date of 1880 to 2099 in digits or with the month's name.
"""

from collections.abc import Iterator
from typing import Final

from masking.patterns import BEGIN, Pattern, Span

BIRTH_NAME: Final = (
    r"(?:date[ _\-]?of[ _\-]?birth|birth[ _\-]?(?:date|day|dt)|birthdate[ _\-]?iso|geburts(?:datum|tag)|"
    r"geb[ _\-]?datum|"
    r"date[ _\-]?(?:de[ _\-]?)?naissance|fecha[ _\-]?(?:de[ _\-]?)?nac(?:imiento)?|data[ _\-]?di[ _\-]?nascita|"
    r"data[ _\-]?(?:de[ _\-]?)?nascimento|geboorte[ _\-]?datum|f(?:ø|oe|o)dselsdato|f(?:ö|o)delsedatum|"
    rf"syntym(?:ä|a)aika|data[ _\-]?urodzenia|"
    rf"datum[ _\-]?narozen(?:í|i)|生年月日|出生日期|{BEGIN}(?:d\.o\.b\.?|dob|bday))"
)
_PHRASE: Final = (
    r"born(?: on)?|geb(?:oren)?\.?(?: am)?|nacid[oa] el|n(?:é|ée) le|nat[oa] il|nascid[oa] em|"
    r"geboren op|fød[td]|född(?:es)?(?: den)?"
)
_MONTHS: Final = (
    r"(?:jan|feb|mar|mär|mrz|apr|may|mai|mayo|jun|jul|aug|sep|okt|oct|nov|dec|dez|ene|abr|ago|dic|janv|févr|avr|juin|juil|"
    r"août|déc|gen|mag|giu|lug|set|ott|out)[a-zà-ÿ]{0,8}\.?"
)
_YEAR: Final = r"(?:18[89][0-9]|19[0-9]{2}|20[0-9]{2})"
_MONTH: Final = r"(?:1[0-2]|0?[1-9])"
_DAY: Final = r"(?:3[01]|[12][0-9]|0?[1-9])"
_DATE: Final = "|".join(
    (
        rf"{_YEAR}[\-/.]{_MONTH}[\-/.]{_DAY}(?:[T ][0-9:.]{{4,15}}(?:Z|[+\-][0-9:]{{2,5}})?)?",
        rf"(?:{_DAY}[\-/. ]{{1,2}}{_MONTH}|{_MONTH}[\-/.]{_DAY})[\-/. ]{{1,2}}(?:{_YEAR}|[0-9]{{2}})",
        rf"{_DAY}(?:st|[nr]d|th|\.|º|er)?[ \-](?:de |of )?{_MONTHS},?[ \-](?:de |of )?(?:{_YEAR}|[0-9]{{2}})",
        rf"[0-9]{{2}}-(?:0[1-9]|1[0-2])-{_DAY}",
        rf"{_MONTHS}[ \-]{_DAY}(?:st|[nr]d|th)?,?[ \-]{_YEAR}",
        rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])",
        r"[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日",
    )
)
_LABELLED: Final = Pattern(
    rf"(?i)(?:{BIRTH_NAME}|{BEGIN}(?:{_PHRASE}))(?:\\*[\"'*`])*[\s:=|>(\-]{{0,8}}(?:is |was |on |the |am )?"
    rf"(?:\\*[\"'*`])*({_DATE})"
)
_WHOLE: Final = Pattern(rf"(?i)^\s*(?:{_DATE})\s*$")
_DIGITS: Final = frozenset(b"0123456789")

HINT: Final = (
    rf"(?i:{BIRTH_NAME})(?:[^0-9A-Za-z]|$)|"
    rf"(?i:{_PHRASE})[^0-9A-Za-z]{{1,8}}(?i:on |the |am )?(?i:[0-9]|{_MONTHS}[ \-])"
)


def find_birthdates(text: bytes) -> Iterator[Span]:
    """Yield dates behind a name or phrase for a date of birth: `DOB: 12/03/1985`, `geboren am 3. März 1985`."""
    position = 0
    while found := _LABELLED.groups(text, position):
        start, end = found[1]
        position = end
        if end == len(text) or text[end] not in _DIGITS:
            yield start, end


def is_date(value: bytes) -> bool:
    """Say whether a whole value is a date."""
    return _WHOLE.span(value) is not None
