"""The chart: what it renders is valid, with no right that is not needed and no way around the gateway; its values."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import get_commands
from helm_python import HelmError

from gatewayproj import env, version
from proxy.agent import file as agent_file
from tests import charted
from tests.charted import CHART, NEEDED, Manifest
from tests.house import pages

VERSIONS = ("1.30", "1.37")
PAGE = pages.text_of("kubernetes.md")
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
SERVER = {"name": "orders", "namespace": "orders", "podLabels": {"app": "mcp-orders"}, "port": 9000}
EVERYTHING: dict[str, Any] = {
    **NEEDED,
    "autoscaling": {"enabled": True},
    "config": {"existingConfigMap": "mine"},
    "image": {"repository": "registry.example.com/holdgate", "digest": "sha256:" + "a" * 64, "pullSecrets": ["pull"]},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a": "b"}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "callers": [{"namespaceSelector": {}}],
        "dns": [{"namespaceSelector": {}}],
        "database": {"port": 6432, "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
        "outside": {"ports": [443, 587]},
    },
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "saml": {"enabled": True},
    "secretFiles": [{"name": "orders_token", "secret": "orders", "key": "token"}],
    "secretSettings": [
        {"name": "HOLDGATE_EMAIL_URL", "secret": "mail", "key": "url"},
        {"name": "HOLDGATE_S3_SECRET_KEY", "secret": "s3", "key": "secret", "for": ["sequencer"]},
        {"name": "HOLDGATE_NAMES_KEY", "secret": "names", "key": "first", "for": ["all"]},
    ],
    "secrets": {"databaseOwner": {"secret": "owner", "key": "uri"}},
    "servers": [{**SERVER, "egress": []}, {"name": "here", "podLabels": {"app": "here"}, "port": 8080}],
    "service": {"annotations": {"c": "d"}},
    "serviceAccount": {"annotations": {"e": "f"}, "mountToken": True},
    "settings": {"HOLDGATE_FOUR_EYES": "all", "HOLDGATE_ANCHORS": "s3://bucket"},
    "slackSocket": {"enabled": True},
    "tolerations": [{"key": "gate", "operator": "Exists"}],
}
AGENT = {"enabled": True, "config": {"text": "version: 1\n"}, "token": {"secret": "agent", "key": "token"}}
STANDALONE: dict[str, Any] = {**NEEDED, "existingSecret": "", "standalone": {"enabled": True}}
SHOWN = [yaml.safe_load(block) for block in pages.blocks_of(PAGE, "yml")]
AT_AGENT = next(at for at, shown in enumerate(SHOWN) if "agent" in shown)
SETS = {
    "needed": NEEDED,
    "everything": EVERYTHING,
    "standalone": STANDALONE,
    "no-policies": {**NEEDED, "networkPolicy": {"enabled": False}, "disruptionBudget": {"enabled": False}},
    "with-agent": {**NEEDED, "agents": {"enabled": True}, "agent": AGENT, "servers": [SERVER]},
    "agent-only": {"image": NEEDED["image"], "agent": {**AGENT, "only": True}, "servers": [SERVER]},
    "shown-agent": SHOWN[AT_AGENT],
    "shown-first": {**SHOWN[0], "config": {"text": "version: 1\n"}},
    "shown-second": SHOWN[-1],
}
ONLY_AGENTS = {"agent-only", "shown-agent"}
RENDERED = {name: charted.rendered(values) for name, values in SETS.items()}
PODS = [(name, component) for name, made in RENDERED.items() for component in charted.pods(made)]


def pod(name: str, component: str) -> Manifest:
    return charted.pods(RENDERED[name])[component]


@pytest.mark.parametrize("release", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_what_is_rendered_is_what_kubernetes_takes(name: str, release: str) -> None:
    for one in RENDERED[name]:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):  # looked at below
            kubernetes_validate.validate(one, release, strict=True)


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_named_twice(name: str) -> None:
    names = [(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]) for one in RENDERED[name]]

    assert len(names) == len(set(names))
    assert all(len(found) <= 63 for *_, found in names)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("publicUrl", "publicUrl: the address"),
        ("image", "image.repository: where you pushed"),
        ("existingSecret", 'existingSecret: name the Secret that holds "'),
        ("config", "config.text: the holdgate.yaml"),
    ],
)
def test_what_is_needed_and_missing_is_said(without: str, message: str) -> None:
    with pytest.raises(HelmError, match=re.escape(message)):
        charted.rendered({name: value for name, value in NEEDED.items() if name != without})


@pytest.mark.parametrize("name", VALUES["secrets"])
def test_every_secret_may_lie_in_another_one_and_none_has_a_default(name: str) -> None:
    assert VALUES["secrets"][name]["secret"] == VALUES["existingSecret"] == ""
    made = charted.rendered({**EVERYTHING, "secrets": {name: {"secret": "elsewhere", "key": "here"}}})

    assert ("elsewhere", "here") in {
        found
        for one in charted.pods(made).values()
        for volume in ("secrets", "keys", "seed")
        for found in charted.files(one, volume).values()
    }
    assert not charted.kinds(made, "Secret")


@pytest.mark.parametrize(
    "wrong",
    [
        {"publicURL": "https://x"},
        {"settings": {"HOLDGATE_SECRET_KEY": "x"}},
        {"settings": {"HOLDGATE_LOGIN_CORP_CLIENT_SECRET": "x"}},
        {"settings": {"HOLDGATE_HARDENED": "0"}},
        {"web": {"replicas": 0}},
        {"servers": [{**SERVER, "podLabels": {}}]},
        {"autoscaling": {"enabled": True}},  # on held calls, which nobody would count
    ],
    ids=lambda wrong: "-".join(
        [*wrong, *(next(iter(wrong.values())) if isinstance(next(iter(wrong.values())), dict) else ())]
    ),
)
def test_values_that_mean_nothing_or_too_much_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HelmError):
        charted.rendered({**NEEDED, **wrong})


@pytest.mark.parametrize(("name", "component"), PODS)
def test_no_pod_has_a_right_that_it_does_not_need(name: str, component: str) -> None:
    one = pod(name, component)

    assert one["securityContext"]["runAsNonRoot"] is True
    assert one["securityContext"]["runAsUser"] == 10001
    assert one["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    mounts_token = name == "everything" and component in {"web", "worker", "slack-socket"}
    assert one["automountServiceAccountToken"] is mounts_token
    assert one["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(one)
    assert all({"emptyDir", "projected", "configMap", "persistentVolumeClaim"} & set(each) for each in one["volumes"])
    for container in charted.containers(one):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"requests", "limits"} <= set(container["resources"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        places = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert not places & {"/run", "/var/run", "/run/secrets", "/var/run/secrets"}, "a token may be mounted below"
        assert mounted <= {volume["name"] for volume in one["volumes"]}


@pytest.mark.parametrize(("name", "component"), PODS)
def test_what_a_pod_runs_is_there_and_every_setting_is_one_of_the_product(name: str, component: str) -> None:
    one = pod(name, component)
    words = [str(word) for word in one["containers"][0]["command"]]
    text = words[2] if words[:2] == ["sh", "-c"] else shlex.join(words)
    for command in text.split(" && "):
        program, *rest = shlex.split(command)
        assert program in {"python", "celery"}
        if rest[0] == "-m":
            assert importlib.util.find_spec(rest[1])
        else:
            assert program == "celery" or rest[1] in get_commands()
    for setting, value in charted.environment(one).items():
        bare = setting.removesuffix("_FILE")
        known = env.REGISTRY[bare]
        if known.secret:
            assert setting != bare, f"{setting} is a secret: it comes from a file"
            assert value.removeprefix(f"{charted.SECRETS}/") in charted.files(one, "secrets")


def test_secret_settings_of_the_product_cannot_stand_among_the_values() -> None:
    refused = SCHEMA["properties"]["settings"]["propertyNames"]["not"]["anyOf"][0]["enum"]

    assert {name for name, one in env.REGISTRY.items() if one.secret and name.startswith("HOLDGATE_")} <= set(refused)


def test_only_the_sequencer_has_the_logs_key_and_only_the_migration_the_owners_role() -> None:
    every = charted.pods(RENDERED["everything"])
    having = {component for component, one in every.items() if ("holdgate", "log.key") in _secrets(one)}
    owning = {component for component, one in every.items() if ("owner", "uri") in _secrets(one)}

    assert having == {"sequencer"}
    assert not any(mount["name"] == "seed" for mount in every["sequencer"]["containers"][0]["volumeMounts"])
    assert owning == {"migrate"}
    assert {component for component, one in every.items() if charted.environment(one)["HOLDGATE_HARDENED"] == "1"} == {
        "web", "worker", "beat", "retention", "slack-socket",
    }  # fmt: skip
    assert all(("names", "first") in _secrets(one) for one in every.values())
    assert ("s3", "secret") in _secrets(every["sequencer"])
    assert ("s3", "secret") not in _secrets(every["web"])


def _secrets(one: Manifest) -> set[tuple[str, str]]:
    return {found for volume in ("secrets", "keys", "seed") for found in charted.files(one, volume).values()}


def test_the_migration_is_done_before_anything_of_the_release_starts() -> None:
    job = charted.named(RENDERED["needed"], "Job", "holdgate-migrate")
    policy = charted.named(RENDERED["needed"], "NetworkPolicy", "holdgate-migrate")

    for one in (job, policy):
        assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) < int(
        job["metadata"]["annotations"]["helm.sh/hook-weight"]
    )
    assert "serviceAccountName" not in job["spec"]["template"]["spec"], "that is not there yet"


def test_the_gateway_is_the_only_way_to_the_servers() -> None:
    policy = charted.named(RENDERED["everything"], "NetworkPolicy", "holdgate-only-way-orders")
    web = charted.named(RENDERED["everything"], "Deployment", "holdgate-web")
    [rule] = policy["spec"]["ingress"]
    [peer] = rule["from"]

    assert policy["metadata"]["namespace"] == "orders"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app": "mcp-orders"}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["egress"] == []
    assert rule["ports"] == [{"protocol": "TCP", "port": 9000}]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "gate"}
    assert peer["podSelector"]["matchLabels"] == web["spec"]["selector"]["matchLabels"]


def test_every_pod_has_a_policy_and_only_the_web_is_reached_or_reaches_servers() -> None:
    policies = charted.kinds(RENDERED["everything"], "NetworkPolicy")
    own = {one["metadata"]["name"].removeprefix("holdgate-"): one["spec"] for one in policies}
    own = {name: one for name, one in own.items() if not name.startswith("only-way-")}

    assert set(own) == set(charted.pods(RENDERED["everything"]))
    assert all(one["policyTypes"] == ["Ingress", "Egress"] for one in own.values())
    assert {name for name, one in own.items() if one.get("ingress")} == {"web"}
    assert {name for name, one in own.items() if _ports(one) & {9000, 8080}} == {"web"}
    assert {name for name, one in own.items() if 587 in _ports(one)} == {"web", "worker", "slack-socket", "sequencer"}
    assert {name for name, one in own.items() if 6379 in _ports(one)} == {"web", "worker", "beat", "slack-socket"}


def _ports(policy: Manifest) -> set[int]:
    return {port["port"] for rule in policy["egress"] for port in rule["ports"]}


@pytest.mark.parametrize("name", sorted(ONLY_AGENTS))
def test_an_agent_elsewhere_is_all_there_is_and_the_only_way_to_its_servers(name: str) -> None:
    made = RENDERED[name]
    [policy] = [one for one in charted.kinds(made, "NetworkPolicy") if "only-way" in one["metadata"]["name"]]
    [own] = [one for one in charted.kinds(made, "NetworkPolicy") if one is not policy]
    agent = charted.named(made, "Deployment", "holdgate-agent")
    [peer] = policy["spec"]["ingress"][0]["from"]

    assert {one["kind"] for one in made} == {"Deployment", "ConfigMap", "NetworkPolicy"}
    assert peer["podSelector"]["matchLabels"] == agent["spec"]["selector"]["matchLabels"]
    assert own["spec"]["podSelector"] == agent["spec"]["selector"]
    assert not own["spec"].get("ingress")
    assert agent["spec"]["replicas"] == 1
    assert agent["spec"]["strategy"] == {"type": "Recreate"}
    assert charted.files(agent["spec"]["template"]["spec"], "secrets")["agent-token"] == (
        SETS[name]["agent"]["token"]["secret"], "token",
    )  # fmt: skip


def test_the_file_of_an_agent_that_is_shown_can_be_used() -> None:
    agent = SHOWN[AT_AGENT]["agent"]

    assert set(agent_file.load(agent["config"]["text"]).connections) == {
        one["name"] for one in SHOWN[AT_AGENT]["servers"]
    }


def test_calls_for_agents_are_passed_on_between_web_pods_alone() -> None:
    made = RENDERED["with-agent"]
    web = charted.named(made, "Deployment", "holdgate-web")["spec"]
    policy = charted.named(made, "NetworkPolicy", "holdgate-web")["spec"]
    peer = {"podSelector": {"matchLabels": web["selector"]["matchLabels"]}}
    env_of_web = web["template"]["spec"]["containers"][0]["env"]

    assert {"ports": [{"protocol": "TCP", "port": 8090}], "from": [peer]} in policy["ingress"]
    assert {"ports": [{"protocol": "TCP", "port": 8090}], "to": [peer]} in policy["egress"]
    assert {"name": "HOLDGATE_INTERNAL_BIND", "value": "$(POD_IP):8090"} in env_of_web
    assert 8090 not in {port["containerPort"] for port in web["template"]["spec"]["containers"][0]["ports"]}
    assert "HOLDGATE_INTERNAL_BIND" not in charted.environment(pod("needed", "web"))


def test_web_pods_scale_on_held_calls_and_on_the_processor() -> None:
    scaler = charted.named(RENDERED["everything"], "HorizontalPodAutoscaler", "holdgate-web")
    web = charted.named(RENDERED["everything"], "Deployment", "holdgate-web")
    budget = charted.named(RENDERED["everything"], "PodDisruptionBudget", "holdgate-web")
    pods, resource = scaler["spec"]["metrics"]

    assert pods["pods"]["metric"]["name"] == "holdgate_held_calls"
    assert resource["resource"]["name"] == "cpu"
    assert "cpu" in web["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert "replicas" not in web["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == web["metadata"]["name"]
    assert budget["spec"]["selector"] == web["spec"]["selector"]


def test_one_pod_stands_alone_with_its_volume() -> None:
    made = RENDERED["standalone"]
    [only] = charted.kinds(made, "Deployment")
    spec = only["spec"]["template"]["spec"]

    assert only["spec"]["replicas"] == 1
    assert only["spec"]["strategy"] == {"type": "Recreate"}
    assert "--web" not in spec["containers"][0]["command"]
    assert not {"DATABASE_URL_FILE", "BROKER_URL_FILE", "HOLDGATE_HARDENED"} & set(charted.environment(spec))
    assert not {"HorizontalPodAutoscaler", "PodDisruptionBudget", "Job"} & {one["kind"] for one in made}
    [claim] = charted.kinds(made, "PersistentVolumeClaim")
    assert {"claimName": claim["metadata"]["name"]} in [one.get("persistentVolumeClaim") for one in spec["volumes"]]


@pytest.mark.parametrize("name", sorted(set(SETS) - ONLY_AGENTS))
def test_selectors_find_what_they_are_for(name: str) -> None:
    made = RENDERED[name]
    for one in charted.kinds(made, "Deployment"):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
    web = charted.named(made, "Deployment", "holdgate-web")["spec"]["template"]
    service = charted.named(made, "Service", "holdgate")
    assert service["spec"]["selector"].items() <= web["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in web["spec"]["containers"][0]["ports"]}


def test_the_chart_is_of_the_version_that_it_starts() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert chart["version"] == chart["appVersion"] == version.version()


def _leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{before}{name}"
        # Maps that people fill as they like, and pairs of Secret and key.
        whole = (
            not isinstance(value, dict)
            or not value
            or before == "secrets."
            or name in {"resources", "dashboardLabels", "token"}
        )
        yield from [path] if whole else _leaves(value, f"{path}.")


def test_every_value_is_documented_and_none_that_there_is_not() -> None:
    said = {word for row in pages.rows(PAGE, "value") for word in re.findall(r"`([^`]+)`", row[0])}

    assert said == set(_leaves(VALUES))


def test_every_value_has_its_place_in_the_schema() -> None:
    for path in _leaves(VALUES):
        place = SCHEMA
        for name in path.split("."):
            place = place["properties"][name]
