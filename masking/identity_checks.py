"""Check digits of national identity and tax numbers. Pure.

Each function takes the number without separators, in capitals, and says whether its check holds. The rules are those
that the issuing authorities publish; each is named at its function.
"""

from collections.abc import Callable, Sequence
from typing import Final

from masking.checksums import luhn, mod11_2, mod11_10, verhoeff

Check = Callable[[str], bool]

_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITALIAN_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_SPANISH: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_FINNISH: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def _sum(number: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))


def is_day(month: str, day: str) -> bool:
    """Say whether a month and a day of two digits each are in the calendar."""
    return 1 <= int(month) <= 12 and 1 <= int(day) <= _MONTH_DAYS[int(month) - 1]


def by_luhn(number: str) -> bool:
    """ISO/IEC 7812-1, and not all digits alike: Canada's SIN, Greece's AMKA, Israel's identity number."""
    return luhn(number.encode()) and len(set(number)) > 1


def by_mod_11_10(number: str) -> bool:
    """ISO/IEC 7064 MOD 11,10: Croatia's OIB."""
    return mod11_10(number.encode())


def german(number: str) -> bool:
    """Germany, Steuer-ID: MOD 11,10, no leading zero, one of the first ten digits twice or three times."""
    counts = sorted(map(number[:10].count, set(number[:10])))
    return number[0] != "0" and counts[-1] in {2, 3} and counts[:-1].count(1) >= 7 and by_mod_11_10(number)


def indian(number: str) -> bool:
    """India, Aadhaar: Verhoeff's check digit; the first is 2 to 9."""
    return number[0] not in "01" and verhoeff(number.encode()) and len(set(number)) > 1


def spanish(number: str) -> bool:
    """Spain, DNI and NIE: the number modulo 23 gives the letter."""
    digits = {"X": "0", "Y": "1", "Z": "2"}.get(number[0], number[0]) + number[1:-1]
    return _SPANISH[int(digits) % 23] == number[-1]


def italian(number: str) -> bool:
    """Italy, codice fiscale: odd and even places weighed, modulo 26."""
    values = [ord(sign) - 65 if sign.isalpha() else int(sign) for sign in number[:-1]]
    total = sum(value if place % 2 else _ITALIAN_ODD[value] for place, value in enumerate(values))
    return total % 26 == ord(number[-1]) - 65


def finnish(number: str) -> bool:
    """Finland, henkilötunnus: date and individual number modulo 31."""
    if not is_day(number[2:4], number[:2]):
        return False
    return _FINNISH[int(number[:6] + number[-4:-1]) % 31] == number[-1]


def swedish(number: str) -> bool:
    """Sweden, personnummer: a date (the day plus 60 in a coordination number) and Luhn over ten digits."""
    short = number[-10:]
    day = int(short[4:6])
    return is_day(short[2:4], f"{day - 60 if day > 60 else day:02}") and by_luhn(short)


def danish(number: str) -> bool:
    """Denmark, CPR: a date; since 2007 the check digit need not hold."""
    return is_day(number[2:4], number[:2])


def norwegian(number: str) -> bool:
    """Norway, fødselsnummer and D-number: a date (the day plus 40) and two check digits modulo 11."""
    day, month = int(number[:2]), int(number[2:4])
    if not is_day(f"{month - 40 if month > 40 else month:02}", f"{day - 40 if day > 40 else day:02}"):
        return False
    first = _sum(number, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _sum(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == second == 0


def polish(number: str) -> bool:
    """Poland, PESEL: a date whose month carries the century, weights 1 3 7 9."""
    month = f"{int(number[2:4]) % 20:02}"
    return is_day(month, number[4:6]) and _sum(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def dutch(number: str) -> bool:
    """The Netherlands, BSN: the eleven test, the last digit counted off."""
    return _sum(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(number) > 0


def belgian(number: str) -> bool:
    """Belgium, rijksregisternummer: 97 minus the first nine digits (from 2000 on with a 2 before) modulo 97."""
    check = int(number[9:])
    return any(97 - int(century + number[:9]) % 97 == check for century in ("", "2"))


def french(number: str) -> bool:
    """France, NIR: 97 minus the first thirteen modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    body = number[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(body) % 97 == int(number[13:])


def portuguese(number: str) -> bool:
    """Portugal, NIF: weights 9 to 2, modulo 11."""
    rest = 11 - _sum(number, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(number[-1]) == (0 if rest > 9 else rest) and number[0] != "0"


def swiss(number: str) -> bool:
    """Switzerland, AHV number: the check digit of EAN-13."""
    return _sum(number, (1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)) % 10 == 0


def austrian(number: str) -> bool:
    """Austria, Sozialversicherungsnummer: weights modulo 11; the check digit is the fourth."""
    return number[0] != "0" and _sum(number[:3] + number[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11 == int(number[3])


def british_nhs(number: str) -> bool:
    """United Kingdom, NHS number: weights 10 to 2, modulo 11."""
    rest = 11 - _sum(number, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(number[-1]) == rest % 11 and len(set(number)) > 1


def british_nino(number: str) -> bool:
    """United Kingdom, National Insurance number: no check digit, but prefixes that are never given out."""
    return number[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def irish(number: str) -> bool:
    """Ireland, PPS number: weights 8 to 2 and nine times the second letter, modulo 23."""
    second = ord(number[8]) - 64 if len(number) > 8 and number[8] != "W" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[(_sum(number, (8, 7, 6, 5, 4, 3, 2)) + 9 * second) % 23] == number[7]


def czech(number: str) -> bool:
    """Czechia and Slovakia, rodné číslo of ten digits: a date (women's month plus 50) and divisible by 11."""
    month = int(number[2:4]) % 50
    return is_day(f"{month - 20 if month > 20 else month:02}", number[4:6]) and (
        int(number) % 11 == 0 or (int(number[:9]) % 11 == 10 and number[-1] == "0")
    )


def romanian(number: str) -> bool:
    """Romania, CNP: a date and weights 2 7 9 1 4 6 3 5 8 2 7 9, modulo 11."""
    check = _sum(number, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return number[0] != "0" and is_day(number[3:5], number[5:7]) and int(number[-1]) == (1 if check == 10 else check)


def bulgarian(number: str) -> bool:
    """Bulgaria, EGN: a date whose month carries the century, weights modulo 11."""
    check = _sum(number, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return is_day(f"{int(number[2:4]) % 20:02}", number[4:6]) and int(number[-1]) == check


def baltic(number: str) -> bool:
    """Estonia and Lithuania, personal code: a date and two rounds of weights modulo 11."""
    check = _sum(number, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = _sum(number, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return number[0] in "12345678" and is_day(number[3:5], number[5:7]) and int(number[-1]) == check


def turkish(number: str) -> bool:
    """Türkiye, kimlik numarası: odd and even places give the tenth digit, all ten the eleventh."""
    digits = list(map(int, number))
    tenth = (sum(digits[0:9:2]) * 7 - sum(digits[1:8:2])) % 10
    return digits[0] != 0 and tenth == digits[9] and sum(digits[:10]) % 10 == digits[10]


def brazilian(number: str) -> bool:
    """Brazil, CPF: two check digits modulo 11."""
    return len(set(number)) > 1 and all(
        _sum(number[:length], range(length + 1, 1, -1)) * 10 % 11 % 10 == int(number[length]) for length in (9, 10)
    )


def argentine(number: str) -> bool:
    """Argentina, CUIT and CUIL: weights modulo 11."""
    rest = 11 - _sum(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(number[-1]) == {11: 0, 10: 9}.get(rest, rest)


def chilean(number: str) -> bool:
    """Chile, RUT: weights 2 to 7 from the right, modulo 11, K for ten."""
    total = sum(int(digit) * (2 + place % 6) for place, digit in enumerate(reversed(number[:-1])))
    return "0123456789K0"[11 - total % 11 if total % 11 else 11] == number[-1]


def mexican(number: str) -> bool:
    """Mexico, CURP: 37 signs weighed by their place, modulo 10."""
    signs = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(signs.index(sign) * (18 - place) for place, sign in enumerate(number[:17]))
    return number[17].isdigit() and is_day(number[6:8], number[8:10]) and -total % 10 == int(number[17])


def chinese(number: str) -> bool:
    """China, resident identity number: ISO/IEC 7064 MOD 11-2 and a date."""
    return is_day(number[10:12], number[12:14]) and mod11_2(number.encode())


def korean(number: str) -> bool:
    """South Korea, resident registration number: a date and weights modulo 11."""
    check = (11 - _sum(number, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return is_day(number[2:4], number[4:6]) and int(number[-1]) == check


def japanese(number: str) -> bool:
    """Japan, My Number: weights 6 5 4 3 2 7 6 5 4 3 2, modulo 11."""
    rest = _sum(number, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(number[-1]) == (0 if rest <= 1 else 11 - rest) and len(set(number)) > 1


def taiwanese(number: str) -> bool:
    """Taiwan, identity number: the letter as two digits, weights 1 9 8 … 1, modulo 10."""
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    return (letter // 10 + letter % 10 * 9 + _sum(number[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def singaporean(number: str) -> bool:
    """Singapore, NRIC and FIN: weights 2 7 6 5 4 3 2, modulo 11, a letter of the series."""
    total = _sum(number[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}.get(number[0], "XWUTRQPNMLK")
    return letters[10 - total % 11 if number[0] == "M" else total % 11] == number[8]


def hongkong(number: str) -> bool:
    """Hong Kong, identity card: letters from 10 on, weights 9 to 1, modulo 11."""
    signs = number.rjust(9, " ")
    values = [36 if sign == " " else int(sign, 36) for sign in signs[:-1]]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return "0123456789A"[-total % 11] == signs[-1]


def australian(number: str) -> bool:
    """Australia, tax file number: weights modulo 11."""
    return _sum(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and int(number) > 0


def south_african(number: str) -> bool:
    """South Africa, identity number: a date and Luhn."""
    return is_day(number[2:4], number[4:6]) and by_luhn(number)


def no_check(_number: str) -> bool:
    """Numbers whose form says enough: India's PAN, the ITIN of the United States."""
    return True
