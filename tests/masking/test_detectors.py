"""What each detector finds and what it leaves: positives and near misses."""

import pytest

from masking.detectors import BY_NAME, DETECTORS, detect, pattern_set
from masking.folding import plain

# Shapes are put together here so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
STRIPE = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"
SLACK = "xoxb-" + "123456789012-abcdefABCDEF"
GOOGLE = "AIza" + "SyA1234567890abcdefghijklmnopqrstuv"
GITLAB = "glpat-" + "abcdefghij0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
FRAME = "-----{} PRIVATE KEY-----"
PEM = f"{FRAME.format('BEGIN')}\nMIIBVgIBADANBgkq\nhkiG9w0B\n{FRAME.format('END')}"

POSITIVES = [
    ("credit_card", "4111111111111111"),
    ("credit_card", "4111 1111 1111 1111"),
    ("credit_card", "4111-1111-1111-1111"),
    ("credit_card", "4111.1111.1111.1111"),
    ("credit_card", "3782 822463 10005"),
    ("credit_card", "378282246310005"),
    ("credit_card", "5555555555554444"),
    ("credit_card", "2223003122003222"),
    ("credit_card", "6011111111111117"),
    ("credit_card", "3530111333300000"),
    ("credit_card", "30569309025904"),
    ("credit_card", "6304000000000000"),
    ("credit_card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("credit_card", "4111111111111111.0"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "DE89370400440532013000"),
    ("iban", "gb82west12345698765432"),
    ("iban", "NO93-8601-1117-947"),
    ("us_ssn", "123-45-6789"),
    ("us_ssn", "123 45 6789"),
    ("email", "alice@example.com"),
    ("email", "a.b+c@mail.example.co.uk"),
    ("email", "jürgen@müller.example"),
    ("email", "o'brien@example.ie"),
    ("email", '"john doe"@example.com'),
    ("email", "x@xn--bcher-kva.xn--p1ai"),
    ("phone", "+49 30 1234567"),
    ("phone", "+14155552671"),
    ("phone", "+1 (415) 555-2671"),
    ("phone", "(415) 555-2671"),
    ("phone", "415-555-2671"),
    ("phone", "01 23 45 67 89"),
    ("phone", "020 7946 0958"),
    ("phone", "0171/1234567"),
    ("phone", "0049 30 1234567"),
    ("bearer_token", "Bearer abcdef0123456789"),
    ("bearer_token", "authorization: bearer AbCdEfGhIj"),
    ("bearer_token", JWT),
    ("password_assignment", "password=hunter2"),
    ("password_assignment", "DB_PASSWORD: hunter2"),
    ("password_assignment", "pwd = 'two words'"),
    ("password_assignment", '{"passwd": "x"'),
    ("password_assignment", '{\\"clientSecret\\": \\"x\\"'),
    ("password_assignment", "postgres://app:hunter2@db/orders"),
    ("private_key", PEM),
    ("private_key", PEM.replace("\n", "\\n")),
    ("private_key", PEM.replace("PRIVATE", "RSA PRIVATE")),
    ("private_key", PEM[:60]),
    ("api_key", AWS),
    ("api_key", GITHUB),
    ("api_key", STRIPE),
    ("api_key", SLACK),
    ("api_key", GOOGLE),
    ("api_key", GITLAB),
    ("api_key", "api_key=0123456789abcdef"),
    ("api_key", '"accessToken": "0123456789abcdef"'),
]

NEAR_MISSES = [
    ("credit_card", "4111111111111112"),
    ("credit_card", "1234567812345670"),
    ("credit_card", "41111111111111111111"),
    ("credit_card", "0.4111111111111111"),
    ("credit_card", "4111111111111111.5"),
    ("credit_card", "0000000000000000"),
    ("credit_card", "1700000000000000000"),
    ("credit_card", "12345678-4111-4111-8111-111111111111"),
    ("credit_card", "da39a3ee5e4111111111111111aafd80709abcde"),
    ("credit_card", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"),
    ("credit_card", "192.168.100.200"),
    ("iban", "DE89 3704 0044 0532 0130 01"),
    ("iban", "XX89370400440532013000"),
    ("iban", "DE8937040044053201300"),
    ("iban", "aDE89370400440532013000"),
    ("us_ssn", "000-45-6789"),
    ("us_ssn", "666-45-6789"),
    ("us_ssn", "900-45-6789"),
    ("us_ssn", "123-00-6789"),
    ("us_ssn", "123-45-0000"),
    ("us_ssn", "123456789"),
    ("us_ssn", "123-45 6789"),
    ("us_ssn", "1123-45-6789"),
    ("us_ssn", "7-123-45-6789"),
    ("email", "user@localhost"),
    ("email", "@types/node"),
    ("email", "left-pad@1.3.0"),
    ("email", "git@github.com:owner/repository.git"),
    ("email", "a @ b.com"),
    ("phone", "4155552671"),
    ("phone", "2024-01-02 10:11:12"),
    ("phone", "2024-01-02"),
    ("phone", "10.0.0.1"),
    ("phone", "12345678-0171-4234-8567-111111111111"),
    ("phone", "+1 23"),
    ("bearer_token", "bearer authentication"),
    ("bearer_token", "the bearer of this letter"),
    ("bearer_token", "eyJub3QiOiJhIHRva2VuIn0.abc.def"),
    ("password_assignment", "secretary: Bob"),
    ("password_assignment", "password: null"),
    ("password_assignment", "if password == other"),
    ("password_assignment", "password = get_password()"),
    ("password_assignment", "forgot your password?"),
    ("private_key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"),
    ("api_key", "AKIA"),
    ("api_key", "x" + AWS),
    ("api_key", "api_key: none"),
    ("api_key", "api_key: your-key-goes-here"),
]


def test_every_named_detector_exists_and_has_a_corpus() -> None:
    named = "bearer_token password_assignment private_key api_key credit_card iban us_ssn email phone"
    assert frozenset(named.split()) == DETECTORS
    assert {name for name, _ in POSITIVES} == {name for name, _ in NEAR_MISSES} == DETECTORS


@pytest.mark.parametrize(("name", "text"), POSITIVES)
@pytest.mark.parametrize("frame", ["{}", "see {} please", "a\n{}\nb", "({})", "x, {}; y"])
def test_a_detector_finds_its_values_in_any_surroundings(name: str, text: str, frame: str) -> None:
    assert name in detect(frame.format(text) if "{" not in text else text, DETECTORS)


@pytest.mark.parametrize(("name", "text"), NEAR_MISSES)
def test_a_detector_leaves_what_only_looks_like_its_values(name: str, text: str) -> None:
    assert detect(text, {name}) == frozenset()


@pytest.mark.parametrize(("name", "text"), POSITIVES)
def test_the_hint_stands_wherever_the_detector_finds_something(name: str, text: str) -> None:
    detector = BY_NAME[name]
    raw = text.encode()
    assert pattern_set((detector.hint,)).found(raw) == [0]
    assert detector.confirm is None or detector.confirm(raw)


def test_digits_of_other_scripts_and_invisible_characters_hide_nothing() -> None:
    assert detect("４１１１ １１１１ １１１１ １１１１", {"credit_card"})
    assert detect("٤١١١١١١١١١١١١١١١", {"credit_card"})
    assert detect("4111\u200b1111\u00ad11111111", {"credit_card"})
    assert detect("4111–1111–1111–1111", {"credit_card"})
    assert detect("alice＠example.com", {"email"})
    assert plain("a\u200bb") == "ab"


def test_detect_looks_at_keys_integers_and_named_members() -> None:
    assert detect({"4111111111111111": 1}, DETECTORS) == {"credit_card"}
    assert detect([{"n": 4111111111111111}], DETECTORS) == {"credit_card"}
    assert detect({"password": "x"}, DETECTORS) == {"password_assignment"}
    assert detect({"password": True, "n": 12}, DETECTORS) == frozenset()


def test_a_failed_candidate_does_not_swallow_the_next_one() -> None:
    assert list(BY_NAME["iban"].find(b"BE12 DE89370400440532013000")) == [(5, 27)]
    assert list(BY_NAME["credit_card"].find(b"12 4111-1111-1111-1111")) == [(3, 22)]
    assert list(BY_NAME["us_ssn"].find(b"666-45-6789 123-45-6789")) == [(12, 23)]
