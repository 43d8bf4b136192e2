"""Secrets by reference, read where they live at the moment they are needed; nothing secret is stored here.

- `env:NAME`   the environment of the gateway, read each time
- `file:PATH`  a mounted secret
- `exec:NAME`  the output of a command that the operator configured under that name (any secret manager's own CLI)
- `vault:PATH#FIELD`  a field of what is at that path of the HTTP API of HashiCorp Vault or OpenBao

The reader that the settings of the gateway describe is in `approvals.secret_reader`; the agent makes its own.
"""

from __future__ import annotations

import hmac
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from approvals import known
from approvals.vault import Vault, VaultError

LONGEST = 64 * 1024
KEPT = 5.0


class SecretUnavailable(Exception):
    """What a reference names cannot be had. The message names no value and reads well after a colon."""


class Secret:
    """Text that shows itself only when asked to: never in `repr`, `str`, formats, tracebacks or pickles."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        msg = "a secret is not pickled"
        raise TypeError(msg)


class Secrets:
    """Reads references. `commands` maps the NAME of `exec:NAME` to an argument vector; no shell reads it.

    `timeout` is how many seconds a command may take; `vault` is the server of `vault:`.
    """

    def __init__(
        self,
        *,
        commands: Mapping[str, Sequence[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        vault: Vault | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._commands = dict(commands or {})
        self._vault = vault
        self._environ = os.environ if environ is None else environ
        self._timeout = timeout
        self._kept: dict[str, tuple[Secret, float]] = {}

    def read(self, reference: str) -> Secret:
        """Return the secret, as it is now or, unless of the environment, some seconds ago. Raises SecretUnavailable."""
        if reference.startswith("env:"):
            return self.fetch(reference)
        secret, until = self._kept.get(reference, (None, 0.0))
        if secret is None or time.monotonic() >= until:
            secret = self.fetch(reference)
            self._kept[reference] = secret, time.monotonic() + KEPT
        return secret

    def fetch(self, reference: str) -> Secret:
        """Return the secret as it is now. Blocks while it is read; raises SecretUnavailable."""
        scheme, _, where = reference.partition(":")
        match scheme:
            case "env":
                return _secret(self._environ.get(where), f"the environment has no {where}")
            case "file":
                return _secret(_read_file(where), "it is empty")
            case "exec":
                return _secret(self._run(where), "it is empty")
            case "vault":
                return _secret(self._of_vault(where), f"what Vault has at {where} is empty")
        raise SecretUnavailable("the reference has an unknown form")

    def forget(self, reference: str) -> None:
        """Have the secret read anew: whoever it was shown to has just refused it."""
        self._kept.pop(reference, None)
        if self._vault is not None and reference.startswith("vault:"):
            self._vault.forget(reference.removeprefix("vault:").partition("#")[0])

    def _of_vault(self, where: str) -> str:
        if self._vault is None:
            raise SecretUnavailable("HOLDGATE_VAULT_ADDR is not set")
        path, _, name = where.partition("#")
        try:
            return self._vault.read(path, name)
        except VaultError as error:
            raise SecretUnavailable(str(error)) from None

    def _run(self, name: str) -> str:
        argv = self._commands.get(name)
        if not argv:
            raise SecretUnavailable("no such command is configured")
        try:
            # The operator's own configuration names the program; no text of a caller is among its arguments.
            done = subprocess.run(  # noqa: S603 - see above
                list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout, check=True
            )
            return done.stdout.decode()
        except subprocess.TimeoutExpired:
            raise SecretUnavailable("the command took too long") from None
        except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
            raise SecretUnavailable("the command failed") from None


def is_slow(reference: str) -> bool:
    """Say whether a reference is read by a command or over the network: not to be read only to see whether it can."""
    return reference.startswith(("exec:", "vault:"))


def _read_file(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError):
        raise SecretUnavailable("the file cannot be read") from None


def _secret(text: str | None, otherwise: str) -> Secret:
    """Make a secret of text that can stand in a header field: one line of visible ASCII, an end of line dropped."""
    value = (text or "").removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretUnavailable(otherwise)
    if len(value) > LONGEST or not value.isascii() or not value.isprintable() or value != value.strip():
        raise SecretUnavailable("it is not one line of printable ASCII")
    known.remember(value)
    return Secret(value)
