"""A rule is tried on the calls of a real gateway before it is armed: by command and over the API."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.history import record
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.people import ALICE, CONNECTION, DAVE, config_yaml
from tests.upstream import running
from tests.world import marker, world

LOGIN = {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
YAML = {"content-type": "application/yaml"}


def test_recorded_calls_are_judged_by_a_file_that_is_not_in_force(tmp_path: Path, issuer: FakeIssuer) -> None:
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text) as here:
            here.start()
            dave = here.caller(DAVE)
            for sql in ("select 1", "select 2", "delete from orders"):
                dave.call("query", {"sql": sql, "marker": marker()}, prefer="wait=0")
            dave.call("echo", {"text": "mail ada@example.com"})
            rule = {"name": "tried", "action": "deny", "match": {"tools": ["query"]}}
            mailing = {
                "name": "mailing",
                "action": "deny",
                "match": {"arguments": [{"path": "text", "matches": "ada"}]},
            }
            tried = config_yaml(issuer.url, upstream.url, rules=[rule, mailing])
            (tmp_path / "tried.yaml").write_text(tried, encoding="utf-8")

            told = here.gateway.manage("policy", "simulate", str(tmp_path / "tried.yaml"), "--json")
            by_api = here.api(DAVE, "POST", "policy/simulate/", content=tried, headers=YAML)

            report = json.loads(told.stdout)
            assert report["calls"] == 4
            assert report["rules"] == {"tried": {"deny": 3}}
            assert report["verdicts"] == {"deny": 3, "unknown": 1}
            assert {key: by_api.json()[key] for key in report} == report
            assert by_api.json()["complete"] is True
            refused = here.api(ALICE, "POST", "policy/simulate/", content=tried, headers=YAML)
            assert refused.status_code == 403


def test_what_a_rule_observes_is_recorded_and_counted_alike_by_list_and_back_test(
    tmp_path: Path, issuer: FakeIssuer
) -> None:
    with running() as upstream:
        document = yaml.safe_load(config_yaml(issuer.url, upstream.url))
        document["rules"].append({"name": "seen", "action": "deny", "mode": "observe", "match": {"tools": ["query"]}})
        text = yaml.safe_dump(document)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, **LOGIN) as here:
            here.start()
            dave = here.caller(DAVE)
            statements = ("select 1", "drop table orders", "delete from orders")
            told = [dave.call("query", {"sql": sql, "marker": marker()}, prefer="wait=0") for sql in statements]
            dave.call("echo", {"text": "hello"})

            assert [answer.decision.get("would") for answer in told] == ["deny", None, "deny"]
            found = [leaf.facts for leaf in record(here.stored) if "observed" in leaf.facts]
            assert [(facts["observed"], facts.get("would")) for facts in found] == [
                (["seen"], "deny"),
                (["seen"], None),
                (["seen"], "deny"),
            ]
            report = here.api(DAVE, "POST", "policy/simulate/", content=text, headers=YAML).json()
            assert report["rules"]["seen"] == {"would": 3}
            with here.browser(DAVE) as browser:
                page = " ".join(browser.get("/admin/approvals/configitem/rules/").text.split())
            assert "would deny 3 " in page
            here.assert_history()
