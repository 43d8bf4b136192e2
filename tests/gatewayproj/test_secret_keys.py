"""The secret key in its three parts: from the settings, from the state folder, and through an interrupted exchange."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from django.core.exceptions import ImproperlyConfigured

from approvals.keys import keyed_digest, seal, sealed_anew, unseal
from gatewayproj import keys
from gatewayproj.keys import SecretKeys, secret_keys


def test_settings_alone_decide_where_they_name_a_key(tmp_path: Path) -> None:
    assert secret_keys(tmp_path, "first", "", "") == SecretKeys("first", (), "first")
    assert secret_keys(tmp_path, "second", "first other", "first") == SecretKeys("second", ("first", "other"), "first")
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("current", "fallbacks", "names", "said"),
    [
        ("second", "first", "", "HOLDGATE_NAMES_KEY is not"),
        ("", "first", "", "belong to HOLDGATE_SECRET_KEY"),
        ("", "", "first", "belong to HOLDGATE_SECRET_KEY"),
    ],
)
def test_settings_that_would_change_the_names_are_refused(
    current: str, fallbacks: str, names: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        secret_keys(tmp_path, current, fallbacks, names)


def test_the_folder_keeps_the_first_key_for_names_through_two_exchanges(tmp_path: Path) -> None:
    first = secret_keys(tmp_path, "", "", "").current
    seen = [first]
    for _ in range(2):
        keys.prepare(tmp_path)
        prepared = secret_keys(tmp_path, "", "", "")
        assert (prepared.current, prepared.names, keys.step(tmp_path)) == (seen[-1], first, "prepared")
        keys.prepare(tmp_path)
        assert secret_keys(tmp_path, "", "", "") == prepared, "once more makes no other key"
        keys.switch(tmp_path)
        switched = secret_keys(tmp_path, "", "", "")
        assert switched == SecretKeys(prepared.fallbacks[0], (seen[-1],), first)
        keys.forget(tmp_path)
        assert secret_keys(tmp_path, "", "", "") == SecretKeys(switched.current, (), first)
        seen.append(switched.current)
    assert len(set(seen)) == 3
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_a_switch_that_was_interrupted_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = secret_keys(tmp_path, "", "", "").current
    keys.prepare(tmp_path)
    replace, calls = os.replace, []

    def interrupted(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keys.switch(tmp_path)
    halfway = secret_keys(tmp_path, "", "", "")
    assert (halfway.current, halfway.names) == (first, first)

    keys.switch(tmp_path)

    after = secret_keys(tmp_path, "", "", "")
    assert (after.current, after.fallbacks) == (halfway.fallbacks[0], (first,))


def test_what_the_key_before_sealed_is_opened_sealed_anew_and_then_gone_with_it(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "first", []
    old = seal(b"refresh token", context="here")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]

    assert unseal(old, context="here") == b"refresh token"
    anew = sealed_anew(old, context="here")
    assert anew is not None
    assert sealed_anew(anew, context="here") is None

    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(anew, context="here") == b"refresh token"
    with pytest.raises(InvalidTag):
        unseal(old, context="here")


def test_names_do_not_depend_on_the_secret_key(settings: Any) -> None:
    before = keyed_digest("actor", "someone")
    settings.SECRET_KEY = "another one"
    assert keyed_digest("actor", "someone") == before
