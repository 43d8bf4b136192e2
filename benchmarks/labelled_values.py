"""Values of every kind that a detector is for, drawn or from a table, and what is near each kind and none of it.

Nothing here is anybody's: numbers are drawn and given their check digits here, or are the examples that authorities
print of their own numbers; names and domains are those kept for examples. Keys and frames are put together at run
time, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.labelled_keys import NEAR_KEYS, TEMPLATES, Draw, drawn


class Value(NamedTuple):
    ""

    "What must be hidden, and the name it stands behind where it needs one to be known; a near miss has the same form."
    ""

    text: str
    name: str = ""


Maker = Callable[[Draw], Value]

_CARDS: Final = (
    ("4", 16),
    ("51", 16),
    ("55", 16),
    ("2223", 16),
    ("37", 15),
    ("34", 15),
    ("6011", 16),
    ("3530", 16),
    ("36", 14),
)
_IBANS: Final = (
    *(
        "DE|{d18}",
        "GB|WEST{d14}",
        "FR|{d23}",
        "NL|ABNA{d10}",
        "ES|{d20}",
        "IT|X{d22}",
        "NO|{d11}",
        "CH|{d17}",
        "PL|{d24}",
    ),
    "MT|MALT{d23}",
)
_PEOPLE: Final = ("ada", "grace.h", "o.nightingale", "t+invoices", "j_doe", "li-wei", "m.curie77", "x")
_DOMAINS: Final = ("example.com", "mail.example.org", "example.co.uk", "corp.example.net", "sub.dept.example.edu")
_PHONES: Final = (
    "+49 30 {d7}", "+1 415 555 {d4}", "+1 (212) 555-{d4}", "+44 20 7946 0{d3}", "+33 1 23 45 {d2} {d2}",
    "+81-3-1234-{d4}",
    "+4915112{d6}", "(415) 555-{d4}", "212-555-{d4}", "020 7946 0{d3}", "0171/1{d6}", "0049 30 {d7}",
    "01 23 45 {d2} {d2}",
)  # fmt: skip
_NAMED_PHONES: Final = (
    "phone|415555{d4}",
    "mobile|0770090{d4}",
    "tel|03012{d5}",
    "phone_number|4930{d7}",
    "fax|212555{d4}",
)
_NUMBERS: Final = (
    "|20-05536168-2", "cuit|20055361682", "svnr|1237 010180", "tfn|123 456 782", "|85.07.30-033.28", "insz|85073003328",
    "egn|7523169263", "|390.533.447-05", "cpf|39053344705", "|756.9217.0769.85", "ahv|7569217076985", "|12.531.909-2",
    "rut|125319092", "|11010519491231002X", "|710319/2745", "steuer_id|36574261809", "cpr|211062-5629",
    "isikukood|37605030299",
    "|12345678Z", "|X1234567L", "|131052-308T", "nir|295109912611193", "|2 95 10 99 126 111 93", "|AB 12 34 56 C",
    "nhs_number|943 476 5919", "amka|01013099997", "|A123456(3)", "oib|33392005961", "ppsn|6433435F",
    "aadhaar|2341 2341 2346",
    "|ACUPA7085R", "|RCCMNL83S18D969H", "my_number|123456789018", "|971013-1019901", "asmens kodas|33309240064",
    "|BOXW310820HNERXN09", "bsn|111222333", "pesel|44051401359", "nif|501964843", "cnp|1630615123457", "|811228-9874",
    "|S1234567D", "kimlik no|17291716060", "|912-90-3456", "national_id|44051401359", "tax_id|36574261809",
)  # fmt: skip
_NEAR_NUMBERS: Final = (
    "|20-05536168-3", "svnr|1238 010180", "tfn|123 456 783", "|85.07.30-033.29", "|390.533.447-06", "cpf|39053344706",
    "|756.9217.0769.86", "|12.531.909-3", "|110105194912310021", "|710319/2746", "steuer_id|36574261808", "|12345678A",
    "|X1234567A", "|131052-308U", "|AB 12 34 56 E", "nhs_number|943 476 5918", "oib|33392005962",
    "aadhaar|2341 2341 2347",
    "|ACUQA7085R", "|RCCMNL83S18D969I", "|971013-1019902", "|BOXW310820HNERXN08", "|811328-9874", "|S1234567E",
    "|912-40-3456",
    "part|44051401359", "order|36574261809", "id|111222333", "batch|1630615123457", "invoice|{d11}", "ref|{d9}",
    "|{h8}-{d4}",
)  # fmt: skip
_BIRTHS: Final = (
    "dob|12/03/1985", "date_of_birth|1985-03-12", "birthDate|1985-03-12T00:00:00Z", "birthday|March 12, 1985",
    "Geburtsdatum|12.03.1985", "date de naissance|12/03/1985", "fecha de nacimiento|12-03-1985", "dob|19850312",
    "data di nascita|12 marzo 1985", "geboortedatum|12-03-1985", "DOB|3 Mar 1985", "patient_dob|85-03-12",
    "birth_date|1985/03/12",
)  # fmt: skip
_NEAR_BIRTHS: Final = (
    "created|12/03/1985", "updated_at|1985-03-12", "due date|March 12, 1985", "dob|unknown", "birthday|yes",
    "date_of_birth|1985",
    "invoice_date|12.03.1985", "released|3 Mar 1985", "dob|99/99/1985", "birthplace|Bern 12",
    "deadline|2025-03-12", "dob|n/a",
)  # fmt: skip
_DSNS: Final = (
    "postgres://app:{a12}@db.example.com:5432/orders", "mysql://root:{a10}@10.1.2.3/shop",
    "redis://:{a16}@cache:6379/0",
    "mongodb+srv://svc:{a14}@cluster0.example.net/db", "amqps://guest:{a9}@mq.example.com/vhost",
    "postgresql+psycopg2://u:{a8}@h/db", "jdbc:postgresql://h:5432/db?user=app&password={a12}",
    "jdbc:sqlserver://h:1433;databaseName=x;user=app;password={a12}", "jdbc:oracle:thin:scott/{a8}@//h:1521/x",
    "Server=db.example.com;Database=shop;User Id=sa;Password={a12};", "ldaps://cn=admin:{a10}@ldap.example.com",
    "AccountName=acme;AccountKey={a86}==;EndpointSuffix=core.example.net",
    "host=db user=app password={a12} dbname=orders",
    "Endpoint=sb://acme.example.net/;SharedAccessKeyName=root;SharedAccessKey={a43}=",
    "smtp://bot:{a12}@mail.example.com:587",
)  # fmt: skip
_NEAR_DSNS: Final = (
    "postgres://db.example.com:5432/orders", "mysql://shop@10.1.2.3/shop", "redis://cache:6379/0", "jdbc:h2:mem:test",
    "https://app.example.com/login?next=home", "Server=db.example.com;Database=shop;Integrated Security=true;",
    "host=db user=app dbname=orders", "amqp://mq.example.com/vhost", "Key=Value;Other=Thing;",
    "mongodb://h1,h2/db?replicaSet=rs0",
    "jdbc:postgresql://h:5432/db", "a=1;b=2;c=3;", "sslmode=require connect_timeout=10 application_name=x",
)  # fmt: skip
_SECRETS: Final = (
    "token|{a32}",
    "session_token|{h40}",
    "signing_key|{a24}",
    "webhook_token|{w32}",
    "encryption_key|{h64}",
    "deployToken|{a20}",
    "SERVICE_KEY|{a28}",
    "credentials|{a32}",
    "hmac-key|{h32}",
    "bot_token|{a40}",
    "master key|{w24}",
    "csrf_token|{a32}",
)
_NEAR_SECRETS: Final = (
    "nextPageToken|{a24}", "token|my-service-account-2024", "primary_key|{a24}", "token|{d18}", "checksum|{h40}",
    "commit|{h40}",
    "token|{h8}-{h4}-{h4}-{h4}-{h12}", "credentials|/etc/app/credentials.json", "max_tokens|4096", "etag|{h32}",
    "cursor|{a32}",
    "public_key|{a44}", "token|see the handbook", "signing_key|orders-signing-key", "cache_key|{a24}",
    "request_id|{w22}",
)  # fmt: skip
_PASSWORDS: Final = (
    "password|{a10}",
    "DB_PASSWORD|{w12}",
    "passwd|hunter{d2}",
    "pwd|{a8}",
    "client_secret|{a32}",
    "admin.password|Tr0ub4dor{d1}",
    "secret|{l12}",
    "smtp-password|correct-horse-{d2}",
    "userPassword|{a9}",
)
_NEAR_PASSWORDS: Final = (
    "password|null", "secretary|Bob", "password_hint|", "passwd|true", "pwd|none", "passwords_changed|12",
    "secret|undefined",
    "compass|north-{d2}", "password_policy|strict", "secrets_rotated|{d2}", "pass|granted",
)  # fmt: skip
_NEAR_BEARERS: Final = (
    "bearer authentication", "the bearer of this letter", "bearer|yes", "eyJub3QiOiJhIHRva2VuIn0.abc.def",
    "Bearer: none",
    "bearer shares", "authorization|pending", "eyJ{a4}", "Bearer instruments", "bearing {d4}", "jwt|expired",
)  # fmt: skip
_NEAR_EMAILS: Final = (
    "user@localhost", "@types/node", "left-pad@1.3.{d1}", "git@github.com:owner/repo.git", "a @ b.example",
    "name@", "@mention",
    "pkg@^{d1}.0.0", "12@34", "sha256@{h12}", "user(at)example.com", "foo@bar@",
)  # fmt: skip
_NEAR_PHONES: Final = (
    "{d10}", "2024-01-02 10:11:12", "2024-01-02", "10.0.0.{d1}", "12345678-0171-4234-8567-{d12}", "+1 23",
    "+999 {d9}", "v1.2.{d3}",
    "order {d8}", "phone|n/a", "tel|extension", "hotel|{d9}", "{d4}-{d2}", "{d16}", "pages 120-{d3}",
    "phone_model|X{d3}",
)  # fmt: skip
_NEAR_IPS: Final = (
    "v1.2.3.{d1}", "version: 1.2.3.{d1}", "1.2.3.4.{d1}", "10.0.0.256", "127.0.0.1", "255.255.255.0", "::1",
    "12:34:{d2}",
    "00:1b:44:11:3a:b7", "std::vector", "ab::cd1", "{d1}.{d1}.{d1}", "1.2.3.4-rc{d1}", "999.{d3}.10.1",
)  # fmt: skip
_FRAME: Final = "-----{} {}PRIVATE KEY-----"
_NEAR_FRAMES: Final = (
    "-----{} PUBLIC KEY-----", "-----{} CERTIFICATE-----", "-----{} PGP MESSAGE-----", "-----{} SSH2 PUBLIC KEY-----",
)  # fmt: skip


def _one(items: Sequence[str], draw: Draw) -> Value:
    """Draw from a table whose rows are `name|template`, or a template alone."""
    name, bar, template = items[draw(len(items))].rpartition("|")
    return Value(drawn(template, draw), name if bar else "")


def _digits(count: int, draw: Draw) -> str:
    return "".join(str(draw(10)) for _ in range(count))


def _luhn(digits: str) -> str:
    """Return the check digit that makes the number before it valid."""
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def _grouped(text: str, sizes: Sequence[int], sign: str) -> str:
    pieces: list[str] = []
    position = 0
    while position < len(text):
        size = sizes[min(len(pieces), len(sizes) - 1)]
        pieces.append(text[position : position + size])
        position += size
    return sign.join(pieces)


def _card(draw: Draw, wrong: int = 0) -> Value:
    prefix, length = _CARDS[draw(len(_CARDS))]
    body = prefix + _digits(length - len(prefix) - 1, draw)
    number = body + str((int(_luhn(body)) + wrong) % 10)
    sizes = (4,) if length == 16 else (4, 6, 5)
    return Value((number, _grouped(number, sizes, " "), _grouped(number, sizes, "-"))[draw(3)])


def _near_card(draw: Draw) -> Value:
    way = draw(6)
    if way < 3:
        return _card(draw, wrong=1 + draw(9))
    near = ("0.4{d15}", "12345678-4111-4111-8111-{d12}", "17{d17}")
    return Value(drawn(near[way - 3], draw))


def _iban(draw: Draw, wrong: int = 0) -> Value:
    account, country = _one(_IBANS, draw)
    check = 98 - int("".join(str(int(sign, 36)) for sign in f"{account}{country}00")) % 97
    number = f"{country}{(check + wrong - 2) % 97 + 2:02}{account}"
    return Value((number, _grouped(number, (4,), " "), number.lower())[draw(3)])


def _ssn(draw: Draw) -> Value:
    area, group, serial = 1 + draw(665), 1 + draw(99), 1 + draw(9999)
    way = draw(4)
    if way == 3:
        return Value(f"{area:03}{group:02}{serial:04}", ("ssn", "social security number")[draw(2)])
    return Value((" " if way == 2 else "-").join((f"{area:03}", f"{group:02}", f"{serial:04}")))


def _near_ssn(draw: Draw) -> Value:
    near = (
        *("000-{d2}-{d4}", "666-{d2}-{d4}", "9{d2}-{d2}-{d4}", "123-00-{d4}", "123-45-0000", "{d9}", "123-45 {d4}"),
        *("1{d3}-45-6789", "7-123-45-{d4}", "ssn|000456789", "session|{d9}", "{d4}-{d2}-{d2}"),
    )
    return _one(near, draw)


def _email(draw: Draw) -> Value:
    return Value(f"{_PEOPLE[draw(len(_PEOPLE))]}@{_DOMAINS[draw(len(_DOMAINS))]}")


def _address(draw: Draw) -> Value:
    if draw(3):
        first = (10, 192, 203, 198, 8, 93)[draw(6)]
        return Value(f"{first}.{draw(256)}.{draw(256)}.{1 + draw(254)}")
    return Value(
        drawn(("2001:db8::{h4}", "2001:db8:{h4}:{h4}::1", "fe80::{h4}:{h4}:{h4}:{h4}")[draw(3)], draw).replace(
            ":0", ":1"
        )
    )


def _jwt(draw: Draw) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).decode().rstrip("=")
    return drawn(f"{header}.eyJ{{a40}}.{{w43}}", draw)


def _bearer(draw: Draw) -> Value:
    if draw(2):
        return Value(_jwt(draw))
    return Value(f"Bearer {drawn(('{a40}', '{w24}', '{h32}')[draw(3)], draw)}")


def _pem(draw: Draw) -> Value:
    kind = ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")[draw(5)]
    body = "\n".join(drawn("{a64}", draw) for _ in range(3))
    return Value(f"{_FRAME.format('BEGIN', kind)}\n{body}\n{_FRAME.format('END', kind)}")


def _near_pem(draw: Draw) -> Value:
    frame = _NEAR_FRAMES[draw(len(_NEAR_FRAMES))]
    return Value(f"{frame.format('BEGIN')}\n{drawn('{a64}', draw)}\n{frame.format('END')}")


def _key(draw: Draw) -> Value:
    return Value(drawn(TEMPLATES[draw(len(TEMPLATES))][1], draw))


def _of(table: Sequence[str]) -> Maker:
    return lambda draw: _one(table, draw)


KINDS: Final[dict[str, tuple[Maker, Maker]]] = {
    "api_key": (_key, _of(NEAR_KEYS)),
    "bearer_token": (_bearer, _of(_NEAR_BEARERS)),
    "connection_string": (_of(_DSNS), _of(_NEAR_DSNS)),
    "credit_card": (_card, _near_card),
    "date_of_birth": (_of(_BIRTHS), _of(_NEAR_BIRTHS)),
    "email": (_email, _of(_NEAR_EMAILS)),
    "iban": (_iban, lambda draw: _iban(draw, wrong=1 + draw(95))),
    "ip_address": (_address, _of(_NEAR_IPS)),
    "national_id": (_of(_NUMBERS), _of(_NEAR_NUMBERS)),
    "password_assignment": (_of(_PASSWORDS), _of(_NEAR_PASSWORDS)),
    "phone": (_of((*_PHONES, *_NAMED_PHONES)), _of(_NEAR_PHONES)),
    "private_key": (_pem, _near_pem),
    "secret": (_of(_SECRETS), _of(_NEAR_SECRETS)),
    "us_ssn": (_ssn, _near_ssn),
}
"""For each detector what makes a value that it must find, and what makes one that it must leave."""
