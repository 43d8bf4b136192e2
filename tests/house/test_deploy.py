"""What people copy to run Holdgate: no default secret in it, no right that is not needed, no way around the gateway."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from approvals.config import loader
from gatewayproj import env
from tests.composed import DEPLOY, document
from tests.gateway import ROOT

FILES = ("compose.yaml", "compose.demo.yaml")
COMPOSE = document("compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [(file, name) for file in FILES for name, one in document(file)["services"].items() if "build" in one]
BEHIND = "notes"  # the MCP server
FOREIGN = {"POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"}


def service(file: str, name: str) -> dict[str, Any]:
    return dict(document(file)["services"][name])


@pytest.mark.parametrize(("file", "name"), OURS)
def test_our_containers_have_no_right_that_they_do_not_need(file: str, name: str) -> None:
    one = service(file, name)

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "cap_add", "network_mode", "pid"} & set(one)


@pytest.mark.parametrize(("file", "name"), OURS)
def test_what_our_containers_run_is_there(file: str, name: str) -> None:
    words = list(map(str, service(file, name)["command"]))
    text = " ".join(words[2:] if words[:2] == ["sh", "-c"] else words)
    for command in re.split(r" && ", text):
        program, *rest = shlex.split(command)
        assert program in {"python", "celery"}
        if rest[0] == "manage.py":
            assert rest[1] in get_commands()


@pytest.mark.parametrize("name", SERVICES)
def test_the_logs_of_every_service_turn_over(name: str) -> None:
    assert SERVICES[name]["logging"] == {"driver": "local"}


def test_no_secret_is_an_argument_of_a_program() -> None:
    for one in SERVICES.values():
        for line in "\n".join(map(str, one.get("command", ()))).splitlines():
            assert "/run/secrets" not in line or line.startswith("requirepass "), line


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_how_it_is_seen_to_live(name: str) -> None:
    check = SERVICES[name].get("healthcheck")

    assert check is not None or SERVICES[name].get("restart") == "no", "it ends, or it has a check"
    assert check != {}


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_is_one_of_the_product_and_no_secret_stands_in_the_file(name: str) -> None:
    for setting, value in SERVICES[name].get("environment", {}).items():
        bare = setting.removesuffix("_FILE")
        assert bare in env.REGISTRY or setting in FOREIGN, setting
        known = env.REGISTRY.get(bare)
        if (known and known.secret) or "PASSWORD" in setting:
            assert value.startswith("/run/secrets/"), f"{setting} is a secret: it comes from a file"
            assert value.rpartition("/")[2] in SERVICES[name]["secrets"]


def test_every_secret_is_made_by_the_script_and_given_to_somebody() -> None:
    made = set(re.findall(r"[a-z]+_[a-z]+", (DEPLOY / "new-secrets.sh").read_text(encoding="utf-8")))
    given = {secret for one in SERVICES.values() for secret in one.get("secrets", ())}

    assert given == set(COMPOSE["secrets"])
    assert given <= made


def test_only_the_sequencer_has_the_logs_key_and_only_the_migration_the_owners_role() -> None:
    having = {name for name, one in SERVICES.items() if any("/holdgate-log" in str(v) for v in one.get("volumes", ()))}
    owning = {name for name, one in SERVICES.items() if "database_owner" in one.get("secrets", ())}

    assert having == {"sequencer"}
    assert owning == {"migrate"}
    assert {name for name, one in SERVICES.items() if one.get("environment", {}).get("HOLDGATE_HARDENED") == "1"} == {
        "gateway", "worker", "beat", "retention",
    }  # fmt: skip


def test_the_gateway_is_the_only_way_to_the_server() -> None:
    [network] = SERVICES[BEHIND]["networks"]

    assert COMPOSE["networks"][network] == {"internal": True}
    assert {name for name, one in SERVICES.items() if network in one.get("networks", ())} == {BEHIND, "gateway"}
    assert {name for name, one in SERVICES.items() if "ports" in one} == {"gateway"}
    assert SERVICES["gateway"]["ports"] == ["${HOLDGATE_BIND:-127.0.0.1:8000}:8000"]


def test_the_database_and_the_broker_are_reached_from_inside_alone() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_the_configuration_to_begin_with_loads() -> None:
    text = (DEPLOY / "holdgate.yaml.example").read_text(encoding="utf-8")

    assert set(loader.load(text).connections) == {BEHIND}


def test_the_image_copies_what_is_there_and_runs_as_nobody() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert [word for word in kept if not (ROOT / word).exists()] == []
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} - {"tests", "benchmarks"} <= set(
        kept
    )
    assert [word[1] for word in words if word[0] == "USER"] == ["10001:10001"]
    assert any("--require-hashes" in word for word in words)
    assert not [word for word in words if word[0] == "ADD"]


@pytest.mark.parametrize("file", FILES)
def test_compose_files_use_nothing_twice(file: str) -> None:
    class Strict(yaml.SafeLoader):
        """Refuses a key that stands twice in one mapping."""

    def once(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(keys) == len(set(keys)), keys
        loader.flatten_mapping(node)
        return {loader.construct_object(key): loader.construct_object(value, deep=True) for key, value in node.value}

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, once)
    assert yaml.load((DEPLOY / file).read_text(encoding="utf-8"), Strict)  # noqa: S506 - a SafeLoader
