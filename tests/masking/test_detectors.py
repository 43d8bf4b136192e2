"""What each detector finds and what it leaves: positives and near misses."""

import pytest

from benchmarks.labelled_keys import NEAR_KEYS, TEMPLATES, drawing, drawn
from masking.detectors import BY_NAME, DETECTORS, detect, pattern_set
from masking.engine import Engine
from masking.folding import plain
from masking.providers import PROVIDERS
from masking.rules import MaskingRule

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
    ("phone", "+683 7012"),
    ("phone", "+6903101"),
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
    ("password_assignment", "psql --password hunter2"),
    ("password_assignment", "x --db-password 'two words'"),
    ("password_assignment", "mysql -u root -phunter -h db"),
    ("password_assignment", "curl -s -u 'ada:hunter' https://h.example"),
    ("password_assignment", "CREATE USER x WITH PASSWORD 'hunter'"),
    ("password_assignment", "CREATE USER x IDENTIFIED WITH caching_sha2_password BY 'hunter'"),
    ("password_assignment", "db:\n  password: |-\n    hunter\n"),
    ("password_assignment", "The password is hunter2."),
    ("password_assignment", "the password for mia: hunter2"),
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
    ("us_ssn", "SSN: 123456789"),
    ("us_ssn", "social security number 123456789"),
    ("phone", "phone: 4155552671"),
    ("phone", "Tel. 0301234567"),
    ("phone", "mobile number = 07700900123"),
    ("connection_string", "postgres://app:hunter2@db/orders?sslmode=require"),
    ("connection_string", "mongodb+srv://u:p@h1.example:27017,h2.example:27017/db"),
    ("connection_string", "redis://:hunter2@cache:6379/0"),
    ("connection_string", "postgresql+psycopg2://u:p@h/db"),
    ("connection_string", "jdbc:postgresql://h/db?user=u&password=p"),
    ("connection_string", "jdbc:sqlserver://h:1433;databaseName=x;user=u;password=p"),
    ("connection_string", "jdbc:oracle:thin:scott/tiger@//h:1521/x"),
    ("connection_string", "Server=tcp:db.example,1433;Database=x;User Id=sa;Password=p1;Encrypt=true;"),
    ("connection_string", "Password=p1; Data Source=db"),
    (
        "connection_string",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "x1Y2" * 21 + "==;EndpointSuffix=example.net",
    ),
    ("connection_string", "Endpoint=sb://x.example/;SharedAccessKeyName=root;SharedAccessKey=abc="),
    ("connection_string", "host=db user=app password=hunter2 dbname=orders"),
    ("secret", "token: 9f8a7b6c5d4e3f2a1b0c"),
    ("secret", 'SIGNING_KEY="aB3dE5fG7hJ9kL1mN3pQ5r"'),
    ("secret", "'webhookSecret': 'x9KfQ2mZ7pLw4TnB'"),
    ("secret", "&sig=Zk3Qp7x9T2bL5mW8"),
    ("secret", "Authorization: Basic dXNlcjpwYXNzd29yZA=="),
    ("secret", "Authorization: Token 9f8a7b6c5d4e3f2a1b0c"),
    ("ip_address", "10.0.0.1"),
    ("ip_address", "203.0.113.7:8080"),
    ("ip_address", "198.51.100.0/24"),
    ("ip_address", "2001:db8::1"),
    ("ip_address", "2001:0db8:0000:0000:0000:ff00:0042:8329"),
    ("ip_address", "fe80::1"),
    ("ip_address", "::ffff:203.0.113.7"),
    ("date_of_birth", "DOB: 12/03/1985"),
    ("date_of_birth", "date of birth is 1985-03-12"),
    ("date_of_birth", '"birthDate":"1985-03-12T00:00:00Z"'),
    ("date_of_birth", "born on March 3rd, 1985"),
    ("date_of_birth", "geboren am 3. März 1985"),
    ("date_of_birth", "Geburtsdatum 03.12.85"),
    ("date_of_birth", "fecha de nacimiento: 3 de marzo de 1985"),
    ("date_of_birth", "née le 3 mars 1985"),
    ("date_of_birth", "生年月日: 1985年3月12日"),
    ("date_of_birth", "dob=19850312"),
    *(
        ("national_id", f"{name}{number}")
        for name, number in (
            *(("", "20-05536168-2"), ("cuit ", "20055361682"), ("SVNR ", "1237 010180"), ("TFN ", "123 456 782")),
            *(("", "85.07.30-033.28"), ("Rijksregisternummer: ", "85073003328"), ("EGN: ", "7523169263")),
            *(("", "390.533.447-05"), ("CPF ", "39053344705"), ("SIN number: ", "123 456 782")),
            *(("", "756.9217.0769.85"), ("AHV-Nummer ", "7569217076985"), ("", "12.531.909-2"), ("RUT: ", "125319092")),
            *(("", "11010519491231002X"), ("", "710319/2745"), ("rodné číslo: ", "7103192745")),
            *(("Steuer-ID: ", "36 574 261 809"), ("CPR-nummer ", "211062-5629"), ("isikukood: ", "37605030299")),
            *(("", "12345678Z"), ("", "X1234567L"), ("", "131052-308T"), ("NIR ", "295109912611193")),
            *(("", "2 95 10 99 126 111 93"), ("", "AB 12 34 56 C"), ("NHS number: ", "943 476 5919")),
            *(("AMKA: ", "01013099997"), ("", "A123456(3)"), ("HKID A", "123456(3)"), ("OIB: ", "33392005961")),
            *(("PPSN: ", "6433435F"), ("teudat zehut ", "039337423"), ("Aadhaar: ", "2341 2341 2346")),
            *(("", "ACUPA7085R"), ("", "RCCMNL83S18D969H"), ("My Number: ", "1234 5678 9018")),
            *(("", "971013-1019901"), ("asmens kodas: ", "33309240064"), ("", "BOXW310820HNERXN09")),
            *(("BSN: ", "111222333"), ("fødselsnummer: ", "151086 95088"), ("PESEL: ", "44051401359")),
            *(("NIF: ", "501964843"), ("CNP: ", "1630615123457"), ("", "811228-9874"), ("pnr: ", "198112289874")),
            *(("", "S1234567D"), ("T.C. Kimlik No: ", "17291716060"), ("身分證字號: ", "A123456789")),
            *(("", "912-90-3456"), ("South African ID: ", "7503305044089"), ("tax id: ", "111222333")),
        )
    ),
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
    ("phone", "+5001234"),
    ("phone", "+6830012"),
    ("bearer_token", "bearer authentication"),
    ("bearer_token", "the bearer of this letter"),
    ("bearer_token", "eyJub3QiOiJhIHRva2VuIn0.abc.def"),
    ("password_assignment", "secretary: Bob"),
    ("password_assignment", "say --password to be asked"),
    ("password_assignment", "x --password $PASSWORD --password <password>"),
    ("password_assignment", "The password is required, the secret is out."),
    ("password_assignment", "the password for mia: unknown"),
    ("password_assignment", "mysql -p orders"),
    ("password_assignment", "docker run -u ada:users x"),
    ("password_assignment", "the user is identified by the token"),
    ("password_assignment", "password: |-\n"),
    ("password_assignment", "password: null"),
    ("password_assignment", "if password == other"),
    ("password_assignment", "password = get_password()"),
    ("password_assignment", "forgot your password?"),
    ("password_assignment", "ask('Password: ', stream='out')"),
    ("private_key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"),
    ("api_key", "AKIA"),
    ("api_key", "x" + AWS),
    ("api_key", "api_key: none"),
    ("api_key", "api_key: your-key-goes-here"),
    ("us_ssn", "SSN: 000456789"),
    ("us_ssn", "session 123456789"),
    ("phone", "+999 123456789"),
    ("phone", "+1 15 555 26"),
    ("phone", "hotel: 4155552671"),
    ("phone", "phone: 2024-01-02 is the day"),
    ("connection_string", "postgres://db.example/orders"),
    ("connection_string", "https://user:hunter2@example.com/"),
    ("connection_string", "Server=db;Database=x;Trusted_Connection=true;"),
    ("connection_string", "a=1; password=x; b=2;"),
    ("connection_string", "host=db dbname=orders sslmode=require"),
    ("connection_string", "def connect(host=None, port=5432, user=None, password=None):"),
    ("connection_string", "connect(host=h, port=1, user=u, password=p)"),
    ("secret", "token: my-service-account-2024"),
    ("secret", "token=550e8400-e29b-41d4-a716-446655440000"),
    ("secret", "nextPageToken: aB3dE5fG7hJ9kL1mN3pQ5r"),
    ("secret", "max_tokens: 4096"),
    ("secret", "token: 1234567890123456"),
    ("secret", "sha256: 9f8a7b6c5d4e3f2a1b0c"),
    ("secret", "primary_key: aB3dE5fG7hJ9kL1mN3pQ5r"),
    ("secret", "credentials: /etc/holdgate/credentials.json"),
    ("secret", "basic authentication"),
    ("ip_address", "v1.2.3.4"),
    ("ip_address", "version: 1.2.3.4"),
    ("ip_address", "1.2.3.4.5"),
    ("ip_address", "10.0.0.256"),
    ("ip_address", "127.0.0.1"),
    ("ip_address", "255.255.255.0"),
    ("ip_address", "::1"),
    ("ip_address", "12:34:56"),
    ("ip_address", "00:1b:44:11:3a:b7"),
    ("ip_address", "std::vector"),
    ("ip_address", "ab::cd1"),
    ("date_of_birth", "created: 1985-03-12"),
    ("date_of_birth", "born in 1985"),
    ("date_of_birth", "DOB: 45/45/1985"),
    ("date_of_birth", "stillborn 12/03/1985"),
    ("date_of_birth", "date of birth: unknown, filed 1985-03-12"),
    ("national_id", "12345678A"),
    ("national_id", "X1234567A"),
    ("national_id", "131052-308U"),
    ("national_id", "390.533.447-06"),
    ("national_id", "BSN: 111222334"),
    ("national_id", "111222333"),
    ("national_id", "order 44051401359"),
    ("national_id", "PESEL: 44051401358"),
    ("national_id", "he said, 111222333"),
    ("national_id", "manifest 501964843"),
    ("national_id", "811328-9874"),
    ("national_id", "GB 12 34 56 C"),
    ("national_id", "x-811228-9874"),
    ("national_id", "900-45-6789"),
]


def test_every_named_detector_exists_and_has_a_corpus() -> None:
    named = "bearer_token password_assignment private_key api_key credit_card iban us_ssn email phone"
    later = "connection_string secret national_id date_of_birth ip_address"
    assert frozenset(f"{named} {later}".split()) == DETECTORS
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


def test_keys_of_a_hundred_providers_are_known_by_their_form() -> None:
    draw = drawing(1)
    assert len({provider for provider, _ in PROVIDERS}) >= 100
    assert {provider for provider, _ in TEMPLATES} == {provider for provider, _ in PROVIDERS}
    hint = pattern_set((BY_NAME["api_key"].hint,))
    for provider, template in TEMPLATES * 3:
        key = drawn(template, draw).removeprefix("https://")
        text = f"see {key} there".encode()
        assert list(BY_NAME["api_key"].find(text)) == [(4, len(key) + 4)], (provider, key)
        assert hint.found(text), provider


def test_what_begins_like_a_key_is_none() -> None:
    draw = drawing(2)
    for template in NEAR_KEYS * 5:
        assert not detect(f"see {drawn(template, draw)} there", {"api_key"}), template


def test_columns_named_for_a_kind_hide_what_is_of_the_kind() -> None:
    masker = Engine([MaskingRule(name="all", detectors=tuple(DETECTORS))], hash_key=b"k" * 32).masker("c", None)
    table = "id,token,dob\n1,aB3dE5fG7hJ9kL1mN3pQ5r,1985-03-12\n2,none,soon\n"
    assert masker.text(table) == "id,token,dob\n1,[secret],[date_of_birth]\n2,none,soon\n"
    assert masker.text("id,phone\n1,4155552671\n2,n/a\n") == "id,phone\n1,[phone]\n2,n/a\n"
    people = {"phone": 4155552671, "bsn": "111222333", "ssn": "123456789", "nextPageToken": "aB3dE5fG7hJ9kL1mN3pQ5r"}
    shown = {**people, "phone": 0, "bsn": "[national_id]", "ssn": "[us_ssn]"}
    assert masker.value(people) == shown


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
