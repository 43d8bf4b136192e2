"""The OpenAPI document: valid, without a doubt that a generator of clients would have to resolve by itself."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command


def test_the_openapi_document_is_valid_and_leaves_no_doubt(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))

    assert "/api/v1/policy/try/" in (tmp_path / "schema.yaml").read_text(encoding="utf-8")
