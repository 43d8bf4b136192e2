"""Typed reading of the environment. Each reader registers the setting, so that docs/settings.md can be tested.

Every secret may also come from a file through `NAME_FILE`, so that it need not stand in the environment.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from approvals import known
from approvals.addresses import Networks


@dataclass(frozen=True)
class Setting:
    """One documented environment variable: its name, its default as shown to a reader, and what it does."""

    name: str
    default: str
    help: str
    secret: bool = False


REGISTRY: dict[str, Setting] = {}
_LOGIN, _CLIENT_SECRET = "HOLDGATE_LOGIN_", "CLIENT_SECRET"


def _read(name: str, default: str, help_text: str, *, secret: bool = False) -> str:
    REGISTRY[name] = Setting(name, "" if secret else default, help_text, secret)
    if path := os.environ.get(f"{name}_FILE") if secret else None:
        return _content(f"{name}_FILE", path)
    return os.environ.get(name, default)


def _content(name: str, path: str) -> str:
    """Return the secret in a file. One that holds none is a mistake, and not the same as no setting."""
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"{name}: cannot read {path}: {error.strerror}"
        raise ImproperlyConfigured(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{name}: {path} is no text in UTF-8"
        raise ImproperlyConfigured(msg) from error
    if not found:
        msg = f"{name}: {path} is empty; write the secret there, or do not set {name}"
        raise ImproperlyConfigured(msg)
    return found


def text(name: str, default: str, help_text: str) -> str:
    """Return the variable as text."""
    return _read(name, default, help_text)


def secret(name: str, help_text: str) -> str:
    """Return a secret from NAME or from the file that NAME_FILE names; empty when neither is set.

    From now on it is hidden wherever it appears.
    """
    value = _read(name, "", help_text, secret=True)
    known.remember_setting(value)
    return value


def flag(name: str, default: bool, help_text: str) -> bool:
    """Return true for 1, true, yes, on; false for 0, false, no, off and empty. Anything else is an error."""
    value = _read(name, "1" if default else "0", help_text).strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"", "0", "false", "no", "off"}:
        return False
    msg = f"{name} must be 1 or 0, not {value!r}."
    raise ImproperlyConfigured(msg)


def number(name: str, default: float, help_text: str, *, minimum: float = 0) -> float:
    """Return a number not below the minimum, in the unit that the help text names."""
    value = _read(name, f"{default:g}", help_text)
    try:
        parsed = float(value)
    except ValueError:
        parsed = float("nan")
    if not parsed >= minimum:
        msg = f"{name} must be a number of at least {minimum:g}, not {value!r}."
        raise ImproperlyConfigured(msg)
    return parsed


def choice(name: str, default: str, help_text: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices; anything else is an error."""
    value = _read(name, default, help_text).strip().lower() or default
    if value not in choices:
        msg = f"{name} must be one of {', '.join(choices)}, not {value!r}."
        raise ImproperlyConfigured(msg)
    return value


def words(name: str, default: str, help_text: str) -> list[str]:
    """Return a comma-separated list without empty entries."""
    return [word.strip() for word in _read(name, default, help_text).split(",") if word.strip()]


def networks(name: str, help_text: str) -> Networks:
    """Return what may be dialled: networks separated by commas, each forbidden that begins with `!`."""
    try:
        return Networks.read(words(name, "", help_text), said_by=name)
    except ValueError as error:
        msg = f"{name}: {error}."
        raise ImproperlyConfigured(msg) from error


def of_issuer(issuer: str, part: str) -> str:
    """Return `HOLDGATE_LOGIN_<ISSUER>_<part>`, or the content of the file that the same name with `_FILE` names.

    A family of secrets, one for each issuer of the configuration; so it is documented once and not registered.
    """
    name = f"{_LOGIN}{issuer.upper().replace('-', '_')}_{part}"
    value = _read(name, "", "", secret=True)
    del REGISTRY[name]
    if part == _CLIENT_SECRET:
        known.remember(value)
    return value


def learn_client_secrets() -> None:
    """Hide the client secrets of all issuers that the environment names, also of those where nobody signed in yet."""
    names = [name.removesuffix("_FILE") for name in os.environ if name.startswith(_LOGIN)]
    for name in names:
        if name.endswith(f"_{_CLIENT_SECRET}"):
            of_issuer(name.removeprefix(_LOGIN).removesuffix(f"_{_CLIENT_SECRET}"), _CLIENT_SECRET)


def settings_digest() -> str:
    """Return the SHA-256 over the registered settings as they are set; of secrets only whether they are set."""
    lines = []
    for name, setting in sorted(REGISTRY.items()):
        value = os.environ.get(name, setting.default)
        is_set = bool(value or os.environ.get(f"{name}_FILE"))
        lines.append(f"{name}={is_set if setting.secret else value}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
