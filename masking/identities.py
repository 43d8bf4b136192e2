"""National identity, tax and insurance numbers of persons, by country: how each is written, named and checked. Pure.

Precision, on purpose: a number whose letters, separators and check digits make it plain is found wherever it stands
alone; one that is digits only, or whose check lets one in ten pass, counts only behind its name, or in a field or
column of such a name. What is found behind a name passes the check of the country of that name; behind a name that
all countries use (`national id`, `tax number`) and in fields, that of any country.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import re2

from masking import identity_checks as checks
from masking.patterns import BEGIN, Pattern, Span

_S: Final = r"[ \-.]?"


@dataclass(frozen=True, slots=True)
class Identity:
    """One kind of number: its country, how it is written (RE2), its check, its names, whether it needs none of them."""

    country: str
    form: str
    check: checks.Check
    names: str
    alone: bool = False


IDENTITIES: Final = (
    Identity("AR", r"(?:20|2[347]|30|33|34)-\d{8}-\d", checks.argentine, r"cuit|cuil", alone=True),
    Identity("AR", r"(?:20|2[347]|30|33|34)\d{9}", checks.argentine, r"cuit|cuil"),
    Identity("AT", r"\d{4}[ \-]?\d{6}", checks.austrian, r"svnr|sv nummer|sozialversicherungsnummer"),
    Identity("AU", r"\d{3}[ \-]?\d{3}[ \-]?\d{3}", checks.australian, r"tfn|tax file"),
    Identity("BE", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", checks.belgian, r"rijksregister[a-z]*", alone=True),
    Identity("BE", r"\d{11}", checks.belgian, r"rijksregister[a-z]*|insz|niss|registre national"),
    Identity("BG", r"\d{10}", checks.bulgarian, r"egn|егн"),
    Identity("BR", r"\d{3}\.\d{3}\.\d{3}-\d{2}", checks.brazilian, r"cpf", alone=True),
    Identity("BR", r"\d{11}", checks.brazilian, r"cpf"),
    Identity("CA", r"[1-9]\d{2}[ \-]?\d{3}[ \-]?\d{3}", checks.by_luhn, r"sin (?:no|number)|social insurance"),
    Identity("CH", r"756\.\d{4}\.\d{4}\.\d{2}", checks.swiss, r"ahv[a-z]*|avs", alone=True),
    Identity("CH", r"756\d{10}", checks.swiss, r"ahv[a-z]*|avs"),
    Identity("CL", r"\d{1,2}\.\d{3}\.\d{3}-[0-9Kk]", checks.chilean, r"rut", alone=True),
    Identity("CL", r"\d{7,8}-?[0-9Kk]", checks.chilean, r"rut"),
    Identity("CN", r"[1-9]\d{5}(?:19|20)\d{9}[0-9Xx]", checks.chinese, r"身份证(?:号码?)?|resident id", alone=True),
    Identity("CZ", r"\d{6}/\d{4}", checks.czech, r"rodn[eé] [cč][ií]slo", alone=True),
    Identity("CZ", r"\d{10}", checks.czech, r"rodn[eé] [cč][ií]slo"),
    Identity("DE", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checks.german,
             r"steuer id|steuer identifikationsnummer|steuer identnummer|idnr"),
    Identity("DK", r"\d{6}-?\d{4}", checks.danish, r"cpr|personnummer"),
    Identity("EE", r"\d{11}", checks.baltic, r"isikukood|personal code"),
    Identity("ES", r"\d{8}-?[A-HJ-NP-TV-Z]", checks.spanish, r"nif", alone=True),
    Identity("ES", r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", checks.spanish, r"nif", alone=True),
    Identity("FI", r"\d{6}[\-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", checks.finnish, r"hetu|henkilötunnus", alone=True),
    Identity("FR", r"[12] \d{2} (?:0[1-9]|1[0-2]|[2-9]\d) \d[0-9AB] \d{3} \d{3} \d{2}", checks.french,
             r"nir|insee|s[ée]curit[ée] sociale|num[ée]ro de s[ée]cu", alone=True),
    Identity("FR", r"[12]\d{4}\d[0-9AB]\d{6} ?\d{2}", checks.french,
             r"nir|insee|s[ée]curit[ée] sociale|num[ée]ro de s[ée]cu"),
    Identity("GB", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", checks.british_nino,
             r"nino|national insurance", alone=True),
    Identity("GB", r"\d{3}[ \-]?\d{3}[ \-]?\d{4}", checks.british_nhs, r"nhs"),
    Identity("GR", r"\d{11}", checks.by_luhn, r"amka|αμκα"),
    Identity("HK", r"[A-Z]{1,2}\d{6}\([0-9A]\)", checks.hongkong, r"hkid", alone=True),
    Identity("HK", r"[A-Z]{1,2}\d{6}[0-9A]", checks.hongkong, r"hkid"),
    Identity("HR", r"\d{11}", checks.by_mod_11_10, r"oib"),
    Identity("IE", r"\d{7}[A-W][A-IW]?", checks.irish, r"ppsn?"),
    Identity("IL", r"\d{9}", checks.by_luhn, r"teudat zehut|ת\.?ז\.?|israeli id"),
    Identity("IN", r"[2-9]\d{3}[ \-]?\d{4}[ \-]?\d{4}", checks.indian, r"aadhaa?r|uidai"),
    Identity("IN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", checks.no_check, r"pan card", alone=True),
    Identity("IT", r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", checks.italian,
             r"codice fiscale", alone=True),
    Identity("JP", r"\d{4}[ \-]?\d{4}[ \-]?\d{4}", checks.japanese, r"my number|マイナンバー|個人番号"),
    Identity("KR", r"\d{6}-[1-8]\d{6}", checks.korean, r"rrn|주민등록번호", alone=True),
    Identity("KR", r"\d{6}[1-8]\d{6}", checks.korean, r"rrn|주민등록번호"),
    Identity("LT", r"\d{11}", checks.baltic, r"asmens kodas"),
    Identity("MX", r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", checks.mexican, r"curp", alone=True),
    Identity("NL", r"\d{9}", checks.dutch, r"bsn|burgerservicenummer|sofinummer"),
    Identity("NO", r"\d{6} ?\d{5}", checks.norwegian, r"f(?:ø|oe|o)dselsnummer|fnr|personnummer|d nummer"),
    Identity("PL", r"\d{11}", checks.polish, r"pesel"),
    Identity("PT", r"\d{3} ?\d{3} ?\d{3}", checks.portuguese, r"nif|contribuinte"),
    Identity("RO", r"\d{13}", checks.romanian, r"cnp|cod numeric personal"),
    Identity("SE", r"(?:19|20)?\d{6}[\-+]\d{4}", checks.swedish, r"personnummer|samordningsnummer", alone=True),
    Identity("SE", r"(?:19|20)?\d{10}", checks.swedish, r"personnummer|samordningsnummer|pnr"),
    Identity("SG", r"[STFGM]\d{7}[A-Z]", checks.singaporean, r"nric", alone=True),
    Identity("TR", r"[1-9]\d{10}", checks.turkish, r"tckn|kimlik"),
    Identity("TW", r"[A-Z][1289]\d{8}", checks.taiwanese, r"身分證(?:字號)?|taiwan id"),
    Identity("US", r"9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}", checks.no_check, r"itin", alone=True),
    Identity("ZA", r"\d{6} ?\d{4} ?\d{3}", checks.south_african, r"rsa id|south african id"),
)  # fmt: skip

_ANY_COUNTRY: Final = (
    r"national id(?:entity|entification)?|national insurance|identity (?:card|document|number)|personal (?:id|identity|"
    r"identification|code)|citizen id|id card|tax id(?:entification)?|tax number|tax payer(?: id)?|tin (?:no|number)|"
    r"social (?:security|insurance)|insurance (?:no|nr|number)|government id|c[ée]dula"
)


def _spaced(names: str) -> str:
    """Names of several words are written with blanks, dashes, underscores or in one."""
    return names.replace(" ", r"[ _\-]?")


_NAMES: Final = _spaced("|".join(sorted({kind.names for kind in IDENTITIES} | {_ANY_COUNTRY}, key=len, reverse=True)))
_NUMBER_WORD: Final = r"(?:[ _\-]?(?:nos?|nr|num|number|nummer|code|id|#)\.?)?"
IDENTITY_NAME: Final = rf"{BEGIN}(?:{_NAMES}){_NUMBER_WORD}"

_LONGEST_FORM: Final = re2.Options()
_LONGEST_FORM.longest_match = True  # one country's number may begin like another's whole one
_ALONE: Final = Pattern("|".join(f"(?:{kind.form})" for kind in IDENTITIES if kind.alone), _LONGEST_FORM)
_LABELLED: Final = Pattern(
    rf"(?i){BEGIN}({_NAMES}){_NUMBER_WORD}(?:\\*[\"'*`])*[\s:=#|>(\-]{{1,8}}(?:is |was )?(?:\\*[\"'*`])*([0-9A-Z])"
)
_GENERAL: Final = Pattern(f"(?i)^(?:{_spaced(_ANY_COUNTRY)})$")
_KINDS: Final = tuple(
    (kind, Pattern(f"(?i){kind.form}"), Pattern(f"(?i)^(?:{_spaced(kind.names)})$")) for kind in IDENTITIES
)
_SEPARATORS: Final = str.maketrans("", "", " -./()+")
_LONGEST: Final = 24
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")

HINT: Final = rf"(?i:{IDENTITY_NAME})(?:[^0-9A-Za-z]|$)|" + "|".join(
    f"(?:{kind.form})" for kind in IDENTITIES if kind.alone
)


def find_identities(text: bytes) -> Iterator[Span]:
    """Yield the spans of national identity numbers in plain UTF-8 text."""
    position = 0
    while span := _ALONE.span(text, position):
        good = _ends(text, *span) and _is_of_some_country(text[span[0] : span[1]], alone=True)
        position = span[1] if good else span[0] + 1
        if good:
            yield span
    position = 0
    while found := _LABELLED.groups(text, position):
        (first, last), (start, _) = found[1], found[2]
        position = start
        if behind := _value_at(text, start, text[first:last]):
            position = behind[1]
            yield behind


def is_identity(value: bytes) -> bool:
    """Say whether a whole value is a number of some country."""
    return len(value) <= _LONGEST and _is_of_some_country(value.strip(), alone=False)


def _is_of_some_country(written: bytes, *, alone: bool) -> bool:
    whole = (0, len(written))
    return any(
        pattern.span_at(written, 0) == whole and _holds(kind, written)
        for kind, pattern, _ in _KINDS
        if kind.alone or not alone
    )


def _value_at(text: bytes, start: int, name: bytes) -> Span | None:
    """Return the span of the number behind a name: of its country, or of any where the name is everybody's."""
    reach = text[start : start + _LONGEST]
    for kind, pattern in _named(name):
        span = pattern.span_at(reach, 0)
        if span and _ends(text, start, start + span[1], joints=False) and _holds(kind, reach[: span[1]]):
            return start, start + span[1]
    return None


@lru_cache(maxsize=512)
def _named(name: bytes) -> tuple[tuple[Identity, Pattern], ...]:
    """Return the kinds of number that a name may stand before. Remembered: a text has the same few names."""
    general = _GENERAL.span(name) is not None
    return tuple((kind, pattern) for kind, pattern, names in _KINDS if general or names.span(name))


def _holds(kind: Identity, written: bytes) -> bool:
    """Say whether the check of a number holds; in Finland a sign between date and number is part of it."""
    number = written.decode("ascii").upper()
    return kind.check(number if kind.country == "FI" else number.translate(_SEPARATORS))


def _ends(text: bytes, start: int, end: int, *, joints: bool = True) -> bool:
    """Say whether no letter or digit touches the span, nor one behind a dash, point or slash."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if (before and before[-1] in _WORD) or (after and after[0] in _WORD):
        return False
    if joints and len(before) == 2 and before[1] in b"-./" and before[0] in _WORD:
        return False
    return not (len(after) == 2 and after[0] in b"-./" and 0x30 <= after[1] <= 0x39)
