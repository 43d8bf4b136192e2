"""Typed reading of the environment. Each reader registers the setting, so that docs/settings.md can be tested.

Every secret may also come from a file through `NAME_FILE`, so that it need not stand in the environment.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Setting:
    """One documented environment variable: its name, its default as shown to a reader, and what it does."""

    name: str
    default: str
    help: str
    secret: bool = False


REGISTRY: dict[str, Setting] = {}


def _read(name: str, default: str, help_text: str, *, secret: bool = False) -> str:
    REGISTRY[name] = Setting(name, "" if secret else default, help_text, secret)
    if path := os.environ.get(f"{name}_FILE") if secret else None:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            msg = f"{name}_FILE: cannot read {path}: {error.strerror}"
            raise ImproperlyConfigured(msg) from error
    return os.environ.get(name, default)


def text(name: str, default: str, help_text: str) -> str:
    """Return the variable as text."""
    return _read(name, default, help_text)


def secret(name: str, help_text: str) -> str:
    """Return a secret from NAME or from the file that NAME_FILE names; empty when neither is set."""
    return _read(name, "", help_text, secret=True)


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


def words(name: str, default: str, help_text: str) -> list[str]:
    """Return a comma-separated list without empty entries."""
    return [word.strip() for word in _read(name, default, help_text).split(",") if word.strip()]


def of_issuer(issuer: str, part: str) -> str:
    """Return `HOLDGATE_LOGIN_<ISSUER>_<part>`, or the content of the file that the same name with `_FILE` names.

    A family of secrets, one for each issuer of the configuration; so it is documented once and not registered.
    """
    name = f"HOLDGATE_LOGIN_{issuer.upper().replace('-', '_')}_{part}"
    value = _read(name, "", "", secret=True)
    del REGISTRY[name]
    return value


def settings_digest() -> str:
    """Return the SHA-256 over the registered settings as they are set; of secrets only whether they are set."""
    lines = []
    for name, setting in sorted(REGISTRY.items()):
        value = os.environ.get(name, setting.default)
        is_set = bool(value or os.environ.get(f"{name}_FILE"))
        lines.append(f"{name}={is_set if setting.secret else value}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
