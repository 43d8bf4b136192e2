"""The reader of secrets that the settings of this gateway describe: its commands, and its Vault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from approvals.secrets import Secrets
from approvals.vault import Login, Vault


@cache
def configured() -> Secrets:
    """Return the reader of this process. Raises ImproperlyConfigured when the setting of the commands is wrong."""
    try:
        commands: Any = json.loads(settings.EXEC_CREDENTIALS)
    except ValueError as error:
        msg = "HOLDGATE_EXEC_CREDENTIALS must be a JSON object."
        raise ImproperlyConfigured(msg) from error
    valid = isinstance(commands, dict) and all(
        isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv) for argv in commands.values()
    )
    if not valid:
        msg = "HOLDGATE_EXEC_CREDENTIALS must map each name to a list of words."
        raise ImproperlyConfigured(msg)
    return Secrets(commands=commands, vault=_vault(settings.VAULT))


def _vault(setting: Mapping[str, str]) -> Vault | None:
    """Return the server that the settings name, None without one. Raises ImproperlyConfigured."""
    if not setting["address"]:
        return None
    method: Any = setting["auth"]
    names = {"token": ("token",), "approle": ("role_id", "secret_id"), "kubernetes": ("jwt",)}[method]
    if not setting[names[0]]:
        msg = f"HOLDGATE_VAULT_{names[0].upper()}_FILE must name a file: HOLDGATE_VAULT_AUTH is {method}."
        raise ImproperlyConfigured(msg)
    if method == "kubernetes" and not setting["role"]:
        msg = "HOLDGATE_VAULT_ROLE must be set: HOLDGATE_VAULT_AUTH is kubernetes."
        raise ImproperlyConfigured(msg)
    login = Login(method, {name: setting[name] for name in names}, setting["mount"], setting["role"])
    try:
        return Vault(setting["address"], login, namespace=setting["namespace"], ca_file=setting["ca_file"])
    except ValueError as error:
        msg = f"HOLDGATE_VAULT_ADDR {error}."
        raise ImproperlyConfigured(msg) from error
