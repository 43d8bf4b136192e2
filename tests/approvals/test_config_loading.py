"""Reading holdgate.yaml: each problem is named with line, key and reason; hostile text is cheap."""

from __future__ import annotations

import json
import re
import time

import pytest

from approvals.config.loader import ConfigError, load
from approvals.config.problems import Problem

GOOD = """\
version: 1
issuers:
  - {name: corp, issuer: https://id.example.com, audiences: [holdgate], login: true}
  - {name: github, issuer: https://ci.example.com, kind: {default: ci}, owned_by: [dba]}
groups:
  dba: {members: [Alice@example.com, "https://id.example.com|bob"]}
connections:
  orders-db:
    url: http://orders.internal:9000/mcp
    credential: {header: Authorization, prefix: "Bearer ", value: env:ORDERS_TOKEN}
    access: [{groups: [corp/engineering]}]
    default: allow
rules:
  - name: never-drop
    action: deny
    match:
      arguments: [{path: sql, matches: drop}]
"""


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return caught.value.problems


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def line_of(text: str, piece: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if piece in line)


HELD = """\
  - name: held
    action: hold
    match: {tools: ["*"]}
    approval:
      require: {any_of: [{groups: [dba]}]}
      expires_after: 10m
"""


@pytest.mark.parametrize(
    ("line", "key", "reason"),
    [
        ("remind_after: 10m", "remind_after", "must be shorter than expires_after"),
        ("remind_after: soon", "remind_after", "must be a duration such as 45s, 30m, 1h or 1d"),
        ("escalate: []", "escalate", "must not be empty"),
        ("escalate: [{after: 5m}]", "escalate[0].add_groups", "is required"),
        ("escalate: [{after: 0s, add_groups: [dba]}]", "escalate[0].after", "must be more than zero"),
        ("escalate: [{after: 10m, add_groups: [dba]}]", "escalate[0].after", "must be shorter than expires_after"),
        (
            "escalate: [{after: 5m, add_groups: [dba]}, {after: 5m, add_groups: [dba]}]",
            "escalate[1].after",
            "must come after the step before it",
        ),
        ("escalate: [{after: 5m, add_groups: [dbas]}]", "escalate[0].add_groups[0]", "unknown group `dbas`"),
        ("escalate: [{after: 5m, add_groups: [dba, dba]}]", "escalate[0].add_groups", "names the same group twice"),
        (
            "escalate: [{after: 5m, add_groups: [github/dba]}]",
            "escalate[0].add_groups[0]",
            "`github/dba`: issuer github has no login: true, so its groups cannot decide",
        ),
    ],
)
def test_what_reminds_and_escalates_must_be_able_to_happen(line: str, key: str, reason: str) -> None:
    found = only(f"{GOOD}{HELD}      {line}\n")
    assert (found.key, found.reason) == (f"rules.held.approval.{key}", reason)


def test_what_the_contract_calls_defaults_are_the_defaults() -> None:
    config = load(
        changed(
            "    default: allow",
            "    default: hold\n    default_approval: {require: {any_of: [{groups: [dba]}]}}",
        )
    )
    connection = config.connections["orders-db"]
    assert (connection.mode, connection.timeout) == ("enforce", 60)
    assert (connection.max_body, connection.max_answer) == (4 << 20, 32 << 20)
    assert (connection.wait.default, connection.wait.ci, connection.wait.max) == (50, 1800, 3600)
    assert connection.access[0].tools == ("*",)
    approval = connection.default_approval
    assert approval is not None
    assert (approval.expires_after, approval.collect_within) == (1800, 600)
    assert (approval.comment, approval.reason, approval.mfa) == ("required_on_deny", "optional", "optional")
    assert approval.decide_in == ("slack", "dashboard", "api")
    assert approval.require.places[0].count == 1
    assert config.rules[0].mode == "enforce"
    assert load("connections: {a: {url: 'http://a', default: allow}}").connections["a"].access == ()


# What stands in GOOD, what stands there instead, the key that is named, and a piece of the reason.
ARGUMENT = "rules.never-drop.match.arguments[0]"
MATCH = "arguments: [{path: sql, matches: drop}]"
WRONG = [
    ("default: allow", "timeout: 60s", "connections.orders-db.default", "is required"),
    ("default: allow", "default: maybe", "connections.orders-db.default", "must be allow, hold or deny"),
    ("default: allow", "default: hold", "connections.orders-db.default_approval", "default is hold"),
    ("url: http://orders.internal:9000/mcp", "timeout: 5s", "connections.orders-db.url", "is required"),
    ("http://orders.internal:9000/mcp", "ftp://orders", "connections.orders-db.url", "absolute http"),
    ("http://orders.internal", "http://me:pass@orders.internal", "connections.orders-db.url", "user name"),
    ("orders-db:", "Orders_DB:", "connections.Orders_DB", "is not a name"),
    ("orders-db:", "gateway:", "connections.gateway", "reserved"),
    ("matches: drop", "matches: '(drop'", f"{ARGUMENT}.matches", "RE2"),
    ("matches: drop", r"matches: '(a)\1'", f"{ARGUMENT}.matches", "RE2"),
    ("path: sql", "path: a..b", f"{ARGUMENT}.path", "is not a path"),
    (", matches: drop", "", ARGUMENT, "exactly one of"),
    ("matches: drop", "matches: a, equals: b", ARGUMENT, "exactly one of"),
    ("matches: drop", "sql_kind: [drop]", f"{ARGUMENT}.sql_kind[0]", "must be read, write"),
    ("matches: drop", "contains: [emails]", f"{ARGUMENT}.contains[0]", "is no detector"),
    ("matches: drop", "in_cidr: [10.0.0.1/8]", f"{ARGUMENT}.in_cidr[0]", "is no network"),
    ("matches: drop", "inside: [srv]", f"{ARGUMENT}.inside[0]", "absolute path"),
    ("matches: drop", "longer_than: many", f"{ARGUMENT}.longer_than", "whole number"),
    ("matches: drop", "exists: false", f"{ARGUMENT}.exists", "takes only true"),
    ("matches: drop", "gt: lots", f"{ARGUMENT}.gt", "must be a number"),
    ("action: deny", "action: hold", "rules.never-drop.approval", "is required where action is hold"),
    ("action: deny", "action: block", "rules.never-drop.action", "must be allow, deny or hold"),
    ("name: never-drop", "name: Never", "rules.Never.name", "is not a name"),
    (MATCH, "{}", "rules.never-drop.match", "must say something"),
    (MATCH, "resources: ['*']", "rules.never-drop.match.resources", "tools/call"),
    (MATCH, "methods: [tools/list]", "rules.never-drop.match.methods[0]", "not judged"),
    (MATCH, "{methods: [prompts/get], tools: [x]}", "rules.never-drop.match.tools", "never holds"),
    ("audiences: [holdgate]", "algorithms: [HS256]", "issuers.corp.algorithms[0]", "must be RS256"),
    ("name: github", "name: corp", "issuers.corp.name", "stands twice"),
    ("login: true", "login: true, account_claims: {uid: github}", "issuers.corp.account_claims.uid", "whose end is *"),
    (
        "login: true",
        "login: true, account_claims: {u: 'slack:T/*x'}",
        "issuers.corp.account_claims.u",
        "whose end is *",
    ),
    ("login: true", "login: true, account_claims: {u: 'https://x|a*'}", "issuers.corp.account_claims.u", "end is *"),
    ("login: true", "account_claims: {u: 'slack:T/*'}", "issuers.corp.account_claims", "login: true"),
    ("owned_by: [dba]", "owned_by: [nobody]", "issuers.github.owned_by[0]", "unknown local group"),
    ("Alice@example.com", "Alice", "groups.dba.members[0]", "e-mail address or iss|sub"),
]
# The same for keys that are added to the connection.
WRONG_CONNECTION = [
    ("defalt: deny", "defalt", "unknown key"),
    ("timeout: 1 hour", "timeout", "a duration"),
    ("timeout: 0s", "timeout", "more than zero"),
    ("wait: {max: 90}", "wait.max", "a duration"),
    ("max_body: 4MB", "max_body", "must be a size"),
    ("mode: observe", "observe_until", "required"),
    ("mode: observe\n    observe_until: soon", "observe_until", "must be a date"),
    ("labels: [prod]", "labels", "a mapping"),
    ("transport: agent", "agent", "is required"),
    ("agent: far-away", "agent", "not for transport http"),
    ("command: [x]", "command", "not for transport http"),
    ("protocol: modern", "protocol", "2025-11-25"),
    ("shared: true", "shared", "not for transport http"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        *WRONG,
        *(
            ("default: allow", f"default: allow\n    {added}", f"connections.orders-db.{key}", reason)
            for added, key, reason in WRONG_CONNECTION
        ),
    ],
)
def test_a_problem_names_line_key_and_reason(old: str, new: str, key: str, reason: str) -> None:
    text = changed(old, new)
    found = only(text)
    assert found.key == key
    assert reason in found.reason
    # A missing key has no line of its own: the block in which it is missing is named.
    words = re.findall(r"[\w-]+", re.sub(r"\[\d+\]", "", key))
    line = text.splitlines()[found.line - 1]
    assert words[-1] in line or ("is required" in reason + found.reason and words[-2] in line)


def test_the_line_is_that_of_the_key_itself() -> None:
    text = changed("    default: allow", "    default: allow\n    wait:\n      default: 5s\n      max: soon")
    assert only(text).line == line_of(text, "max: soon")
    text = GOOD + "    message: x\n    mesage: y\n"
    assert only(text) == Problem(line_of(text, "mesage"), "rules.never-drop.mesage", "unknown key")


def test_a_required_key_that_is_missing_has_the_line_of_its_block() -> None:
    text = changed("    match:\n      arguments: [{path: sql, matches: drop}]\n", "")
    assert only(text) == Problem(line_of(text, "name: never-drop"), "rules.never-drop.match", "is required")


def test_all_problems_are_listed_in_one_go_by_line() -> None:
    text = GOOD.replace("default: allow", "default: maybe").replace("matches: drop", "matches: '('")
    text = text.replace("login: true", "login: yes").replace("owned_by: [dba]", "owned_by: [x, y]")
    found = problems(text)
    assert [problem.line for problem in found] == [3, 4, 4, 12, 17]
    assert str(found[0]) == "line 3: issuers.corp.login: must be true or false"


def test_a_duplicate_key_is_an_error_on_the_line_of_the_second() -> None:
    text = changed("default: allow", "default: allow\n    default: deny")
    found = only(text)
    assert found.key == "connections.orders-db.default"
    assert found.line == line_of(text, "default: deny")
    assert f"line {line_of(text, 'default: allow')}" in found.reason


def test_a_duplicate_block_is_reported_once_and_its_contents_do_not_leak_into_the_first() -> None:
    text = GOOD + "connections:\n  other: {default: nonsense}\n"
    assert only(text).key == "connections"


def test_words_such_as_yes_and_times_stay_words() -> None:
    config = load(changed("default: allow", "default: allow\n    labels: {yes: on, at: 22:30, n: 010, z: null}"))
    assert config.connections["orders-db"].labels == {"yes": "on", "at": "22:30", "n": "010", "z": "null"}


@pytest.mark.parametrize("group", ["nobody", "corp", "corp/", "github/deployers", "other/x", "DBA"])
def test_only_local_groups_and_those_of_a_login_issuer_can_decide(group: str) -> None:
    rule = "approval: {require: {all_of: [{groups: [dba, corp/leads]}, {groups: ['GROUP']}]}}"
    text = changed("action: deny", f"action: hold\n    {rule.replace('GROUP', group)}")
    found = only(text)
    assert found.key == "rules.never-drop.approval.require.all_of[1].groups[0]"
    assert found.line == line_of(text, "approval:")
    load(text.replace(f"'{group}'", "corp/security"))


def test_roles_come_from_deciding_groups_only() -> None:
    assert only(GOOD + "roles: {admin: [dba], auditor: [github/x]}\n").key == "roles.auditor[0]"


def test_an_unknown_detector_is_an_error_with_its_line() -> None:
    text = GOOD + "masking:\n  - name: cards\n    detectors:\n      - credit_card\n      - credit_cart\n"
    found = only(text)
    assert (found.line, found.key) == (line_of(text, "credit_cart"), "masking.cards.detectors[1]")
    assert "credit_cart" in found.reason


OWN = "detectors: [{name: employee, pattern: 'EMP-[0-9]{6}'}]\n"


def test_a_detector_of_ones_own_may_be_named_where_others_may() -> None:
    masking = "masking: [{name: m, detectors: [employee, email]}]\n"
    config = load(changed("matches: drop", "contains: [employee]") + OWN + masking)
    assert [one.name for one in config.own_detectors] == ["employee"]
    load(changed("matches: drop", "contains: employee") + OWN)
    unknown = only(changed("matches: drop", "contains: [employees]") + OWN)
    assert "`employees` is no detector; there are api_key," in unknown.reason
    assert " employee, " in unknown.reason
    unless = "unless: [{arguments: [{path: sql, contains_not: [nose]}]}]"
    found = only(changed("action: deny", "action: deny\n    " + unless))
    assert found.key == "rules.never-drop.unless[0].arguments[0].contains_not[0]"


@pytest.mark.parametrize(
    ("detector", "key", "reason"),
    [
        ("{name: x, pattern: '(?<=a)b'}", "x.pattern", "is not a pattern that RE2 accepts: invalid perl operator"),
        ("{name: x, pattern: 'a*'}", "x.pattern", "matches the empty text"),
        ("{name: x, pattern: '\\pL{20}'}", "x.pattern", "too expensive"),
        ("{name: iban, pattern: a}", "iban.pattern", "comes with the gateway"),
        ("{name: Mine, pattern: a}", "Mine.name", "is not a name"),
        ("{name: x, pattern: a, checksum: crc}", "x.checksum", "must be luhn, mod97"),
        ("{name: x, pattern: a, names: ['--']}", "x.names[0]", "needs a letter"),
        ("{name: x}", "x.pattern", "is required"),
        ("{name: x, pattern: a}, {name: x, pattern: b}", "x.name", "stands twice"),
    ],
)
def test_a_detector_that_cannot_be_used_is_refused_with_the_reason(detector: str, key: str, reason: str) -> None:
    found = only(GOOD + f"detectors: [{detector}]\n")
    assert found.key == f"detectors.{key}"
    assert reason in found.reason


def test_there_are_at_most_fifty_detectors_of_ones_own() -> None:
    many = ", ".join(f"{{name: x{number}, pattern: a}}" for number in range(51))
    assert only(GOOD + f"detectors: [{many}]\n").reason == "has too many entries"


def test_a_masking_rule_that_hides_nothing_is_refused() -> None:
    assert "hides nothing" in only(GOOD + "masking: [{name: x}]\n").reason


@pytest.mark.parametrize("value", ["hunter2-secret", "env:", "file:relative", "exec:a b", ""])
def test_a_credential_is_a_reference_and_a_secret_is_never_quoted(value: str) -> None:
    found = only(changed("env:ORDERS_TOKEN", json.dumps(value)))
    assert found.key == "connections.orders-db.credential.value"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "path",
    ["", "kv#y", "kv/x", "kv/x#", "/kv/x#y", "kv/x/#y", "kv//x#y", "kv/../sys#y", "kv/x?v=1#y", "kv/x y#z", "kv/x#y#z"],
)
def test_a_reference_to_vault_has_a_path_and_a_field(path: str) -> None:
    assert "vault:PATH#FIELD" in only(changed("env:ORDERS_TOKEN", json.dumps(f"vault:{path}"))).reason


@pytest.mark.parametrize(
    "value",
    ["env:A_1", "file:/run/secrets/x", "exec:orders-token", "vault:secret/data/orders#token", "vault:kv/a.b/c-d#e_f"],
)
def test_references_to_secrets_are_taken(value: str) -> None:
    credential = load(changed("env:ORDERS_TOKEN", value)).connections["orders-db"].credential
    assert credential is not None
    assert credential.value == value


def test_an_account_belongs_to_one_person() -> None:
    people = "people: [{name: a, accounts: ['i|1', 'slack:T1/U1']}, {name: b, accounts: ['i|2', 'i|1']}]\n"
    assert "i|1" in only(GOOD + people).reason


def test_json_is_the_same_language() -> None:
    document = {
        "version": 1,
        "connections": {
            "a": {
                "url": "http://a/mcp",
                "default": "allow",
                "timeout": "90s",
                "description": "☃ 😀 \u2028 \\ud83d /",
            }
        },
    }
    for text in (
        json.dumps(document),
        json.dumps(document, ensure_ascii=False),
        json.dumps(document, indent="\t"),
    ):
        connection = load(text).connections["a"]
        assert connection.description == "☃ 😀 \u2028 \\ud83d /"
        assert connection.timeout == 90
    assert only('{"version": 1,\n "version": 1}').line == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("- a\n", "must be a mapping"),
        ("version\n", "must be a mapping"),
        ("a: b: c\n", "is not YAML"),
        ("a: 'b\n", "is not YAML"),
        ("a: \x00\n", "is not YAML"),
        ("version: 1\n---\nversion: 1\n", "second document"),
        ("version: !!int 1\n", "tags"),
        ("version: !!python/object/apply:os.system [id]\n", "tags"),
        ("groups: &g {}\nconnections: *g\n", "anchor"),
        ("? [a]\n: b\n", "a key must be plain text"),
        ("a: \ud800\n", "not Unicode"),
    ],
)
def test_text_that_is_not_the_plain_subset_of_yaml_is_refused(text: str, reason: str) -> None:
    assert reason in problems(text)[0].reason


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


@pytest.mark.parametrize(
    "text", [LAUGHS, "[" * 200_000, "{a: " * 200_000, "a:\n" * 200_000, "x" * (2 << 20), "- " * 100_000]
)
def test_hostile_text_is_refused_before_it_costs_anything(text: str) -> None:
    started = time.perf_counter()
    problems(text)
    assert time.perf_counter() - started < 2
