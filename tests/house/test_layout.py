"""The top of the repository holds what it should and nothing else; app labels are what foreign keys say."""

from __future__ import annotations

import pytest
from django.apps import apps

from tests.house import sources

REQUIRED = {
    "manage.py", "pyproject.toml", "README.md",
    "gatewayproj", "approvals", "proxy", "sessions", "masking", "templates", "tests",
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "THREAT_MODEL.md",
    "Makefile", "docs", "requirements",
}  # fmt: skip
OPTIONAL = {"benchmarks", "deploy", "static"}


def test_the_top_level_holds_exactly_the_agreed_entries() -> None:
    top = {sources.relative(path).split("/")[0] for path in sources.tracked()}
    visible = {name for name in top if not name.startswith(".")}

    assert visible - OPTIONAL == REQUIRED


@pytest.mark.parametrize(("package", "label"), [("sessions", "mcp_sessions"), ("approvals", "approvals")])
def test_each_app_has_the_label_that_foreign_keys_name(package: str, label: str) -> None:
    assert apps.get_app_config(label).name == package


def test_the_recorded_session_is_not_djangos_cookie_session() -> None:
    """Django's own app is labelled `sessions`: a foreign key without our label would bind to the cookie."""
    assert apps.get_model("mcp_sessions", "RecordedSession")._meta.label == "mcp_sessions.RecordedSession"


@pytest.mark.parametrize("name", ["utils", "helpers", "helper", "manager", "managers", "misc", "common"])
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    assert [path for path in sources.tracked() if path.stem == name and path.suffix == ".py"] == []


def test_tests_are_no_package() -> None:
    """An `__init__.py` under tests/ would make `tests/sessions` shadow the app of that name."""
    assert [
        path for path in sources.tracked() if sources.relative(path).startswith("tests/") and path.stem == "__init__"
    ] == []
