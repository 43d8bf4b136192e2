"""Alerts and dashboards ask only for what /metrics serves, and what they are made for is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from gatewayproj import metrics
from gatewayproj.tally import Counts, Tallies
from tests import charted
from tests.charted import CHART, NEEDED
from tests.house import pages

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
BOARDS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(CHART.glob("dashboards/*.json"))}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
ASKED = [(f"alert {rule['alert']}", rule["expr"]) for rule in RULES] + [
    (f"{name} {panel['id']}{target['refId']}", target["expr"]) for name, panel in PANELS for target in panel["targets"]
]
MADE = charted.rendered({**NEEDED, "monitoring": {"enabled": True, "labels": {"release": "prometheus"}}})
OF_A_SCRAPE = {"instance", "pod", "job", "namespace"}


def served() -> Mapping[str, frozenset[str]]:
    """Return every series that /metrics may have, with the names of its labels."""
    labels = dict(_labels())
    found: dict[str, frozenset[str]] = {}
    for family in metrics.registry.collect():
        own = labels.get(family.name, frozenset())
        if family.type == "histogram":
            found |= {f"{family.name}_{end}": own for end in ("sum", "count")}
            found[f"{family.name}_bucket"] = own | {"le"}
        else:
            found[f"{family.name}_total" if family.type == "counter" else family.name] = own
    return found


def _labels() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the labels of each of our families; a series that nothing was counted in does not say them itself."""
    for one in vars(metrics).values():
        if isinstance(one, Counts | Tallies):
            yield one._name, frozenset(one._labels)
        elif isinstance(one, MetricWrapperBase):
            yield one._name, frozenset(one._labelnames)


SERVED = served()


def selectors(expression: Any) -> Iterator[Any]:
    """Yield every selector of series in a parsed expression."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    elif isinstance(expression, promql.MatrixSelector):
        yield expression.vector_selector
    for part in ("expr", "lhs", "rhs"):
        if (inner := getattr(expression, part, None)) is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for argument in getattr(expression, "args", ()):
        yield from selectors(argument)


def grouped(expression: Any) -> set[str]:
    """Return the labels that an expression groups by, at any depth."""
    found = set()
    if isinstance(expression, promql.AggregateExpr) and expression.modifier is not None:
        found |= set(expression.modifier.labels)
    inner = [getattr(expression, part, None) for part in ("expr", "lhs", "rhs")] + list(getattr(expression, "args", ()))
    return found.union(*(grouped(one) for one in inner if one is not None))


@pytest.mark.parametrize(("where", "text"), ASKED, ids=[where for where, _ in ASKED])
def test_an_expression_asks_for_what_is_served(where: str, text: str) -> None:
    parsed = promql.parse(text)
    asked = list(selectors(parsed))

    assert asked
    for one in asked:
        assert one.name in SERVED
        assert {matcher.name for matcher in one.matchers.matchers} <= SERVED[one.name]
    known = frozenset[str]().union(*(SERVED[one.name] for one in asked))
    assert grouped(parsed) <= known | OF_A_SCRAPE


def test_a_counter_is_asked_for_its_rate_and_nothing_else_is() -> None:
    for where, text in ASKED:
        for name in re.findall(r"(?:rate|increase)\((\w+)", text):
            assert name.endswith(("_total", "_bucket", "_sum", "_count")), where
        bare = re.sub(r"(?:rate|increase)\([^()]*\)", "", text)
        counters = set(re.findall(r"holdgate_\w+_(?:total|bucket)\b", bare))
        assert counters <= {"holdgate_policy_loosened_total"}, where  # compared with itself before; see its comment


def test_the_guide_says_of_every_alert_what_to_do() -> None:
    rows = pages.rows(pages.text_of("operate/alerts.md"), "alert")
    said = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(said) == sorted(rule["alert"] for rule in RULES)
    assert all(row[2] for row in rows)


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_what_it_means(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Holdgate[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}
    grouping = grouped(promql.parse(rule["expr"]))
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= grouping, "a label that the expression does not keep is empty in the text"


def test_alerts_and_panels_have_names_and_places_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    for name, board in BOARDS.items():
        assert board["uid"] == name.removesuffix(".json")
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, panel["title"]
            taken |= cells


def test_the_operators_of_prometheus_and_grafana_get_the_same() -> None:
    [rules] = charted.kinds(MADE, "PrometheusRule")
    [monitor] = charted.kinds(MADE, "ServiceMonitor")
    boards = [one for one in charted.kinds(MADE, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]

    assert set(rules["spec"]) == {"groups"}
    assert [rule for group in rules["spec"]["groups"] for rule in group["rules"]] == RULES
    assert {name: json.loads(text) for one in boards for name, text in one["data"].items()} == BOARDS
    for one in (rules, monitor):
        assert one["apiVersion"] == "monitoring.coreos.com/v1"
        assert one["metadata"]["labels"]["release"] == "prometheus"
    # The fields of the operator's v1: https://prometheus-operator.dev/docs/api-reference/api/
    assert set(monitor["spec"]) == {"selector", "namespaceSelector", "endpoints"}
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint == {
        "port": "http", "path": "/metrics", "interval": "30s",
        "authorization": {"type": "Bearer", "credentials": {"name": "holdgate", "key": "metrics-token"}},
    }  # fmt: skip
    service = charted.named(MADE, "Service", "holdgate")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
