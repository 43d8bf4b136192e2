"""Settings that take one of some words, and those that come from files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from gatewayproj import env


@pytest.fixture
def name() -> Iterator[str]:
    """A setting that is documented nowhere, and gone afterwards."""
    yield "HOLDGATE_OF_THIS_TEST"
    env.REGISTRY.pop("HOLDGATE_OF_THIS_TEST", None)


@pytest.mark.parametrize(("given", "read"), [(None, "off"), ("", "off"), (" ALL ", "all")])
def test_a_choice_is_one_of_its_words(given: str | None, read: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if given is not None:
        monkeypatch.setenv(name, given)

    assert env.choice(name, "off", "of a test", ("off", "all")) == read


def test_another_word_is_refused_and_the_words_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "loose")

    with pytest.raises(ImproperlyConfigured, match="must be one of off, all, not 'loose'"):
        env.choice(name, "off", "of a test", ("off", "all"))


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused_and_not_taken_for_no_setting(
    content: bytes, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))

    with pytest.raises(ImproperlyConfigured, match=f"{name}_FILE: .*/secret"):
        env.secret(name, "of a test")
