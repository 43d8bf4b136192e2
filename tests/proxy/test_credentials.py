"""Credentials come from where they live, follow rotation, and never show themselves."""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

import pytest

from approvals.secrets import Secret, Secrets
from proxy.credentials import Credentials
from proxy.errors import CredentialUnavailable


class Clock:
    """Time that moves only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def resolve(credentials: Credentials, reference: str) -> str:
    return asyncio.run(credentials.resolve(reference)).reveal()


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("tok-123")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret]), repr({"a": secret})]
    assert not any("tok-123" in text for text in shown)
    assert secret.reveal() == "tok-123"
    assert (secret == Secret("tok-123"), secret == Secret("other"), secret == "tok-123") == (
        True,
        False,
        False,
    )
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_rotated_environment_variable_is_seen_at_once() -> None:
    environ = {"TOKEN": "one"}
    credentials = Credentials(Secrets(environ=environ))
    assert resolve(credentials, "env:TOKEN") == "one"
    environ["TOKEN"] = "two"
    assert resolve(credentials, "env:TOKEN") == "two"


def test_a_rotated_file_is_seen_without_a_restart(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "token"
    credentials = Credentials(Secrets(), clock=clock)
    file.write_text("one\n")
    assert resolve(credentials, f"file:{file}") == "one"
    file.write_text("two\r\n")
    assert resolve(credentials, f"file:{file}") == "one"
    clock.now += 1
    assert resolve(credentials, f"file:{file}") == "two"


def test_a_command_is_run_again_after_some_seconds_or_when_its_secret_was_refused(tmp_path: Path) -> None:
    counter = tmp_path / "runs"
    script = f"p={str(counter)!r}; open(p, 'a').write('x'); print('tok-%d' % len(open(p).read()))"
    clock = Clock()
    credentials = Credentials(Secrets(commands={"vault-cli": [sys.executable, "-c", script]}), clock=clock)
    assert resolve(credentials, "exec:vault-cli") == "tok-1"
    assert resolve(credentials, "exec:vault-cli") == "tok-1"
    clock.now += 5
    assert resolve(credentials, "exec:vault-cli") == "tok-2"
    credentials.forget("exec:vault-cli")
    assert resolve(credentials, "exec:vault-cli") == "tok-3"


def test_calls_that_ask_together_run_the_command_once(tmp_path: Path) -> None:
    counter = tmp_path / "runs"
    script = f"open({str(counter)!r}, 'a').write('x'); print('tok')"
    credentials = Credentials(Secrets(commands={"c": [sys.executable, "-c", script]}))

    async def together() -> list[Secret]:
        return await asyncio.gather(*(credentials.resolve("exec:c") for _ in range(20)))

    assert {secret.reveal() for secret in asyncio.run(together())} == {"tok"}
    assert counter.read_text() == "x"


BAD = [
    "env:MISSING",
    "env:EMPTY",
    "env:LF",
    "env:CRLF",
    "env:NUL",
    "env:UTF8",
    "env:SPACE",
    "file:/nonexistent",
    "exec:x",
]
BAD += [
    "exec:fails",
    "exec:hangs",
    "exec:nowhere",
    "vault:secret/db#token",
    "literal",
    "",
    "http://x",
    "file:/",
]


@pytest.mark.parametrize("reference", BAD)
def test_what_cannot_be_had_is_named_without_its_value(reference: str) -> None:
    environ = {
        "EMPTY": "",
        "LF": "tok\nX-Evil: 1",
        "CRLF": "tok\r\nb",
        "NUL": "tok\0",
        "UTF8": "tök",
        "SPACE": " tok",
    }
    commands = {
        "fails": [sys.executable, "-c", "print('tok'); raise SystemExit('tok')"],
        "hangs": [sys.executable, "-c", "import time; time.sleep(60)"],
        "nowhere": ["/nonexistent/program"],
    }
    credentials = Credentials(Secrets(commands=commands, environ=environ, timeout=0.3), timeout=0.3)
    with pytest.raises(CredentialUnavailable) as caught:
        resolve(credentials, reference)
    assert (caught.value.reason, caught.value.executed) == ("credential_unavailable", "false")
    assert "tok" not in caught.value.message.replace("token", "")
    assert "took too long" in caught.value.message or reference != "exec:hangs"
