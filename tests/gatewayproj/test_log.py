"""What is logged holds none of the secrets that the process knows, whatever form they take."""

from __future__ import annotations

import base64
import logging
import sys
from urllib.parse import quote

import pytest

from approvals import known
from approvals.secrets import Secrets
from gatewayproj.log import JsonLines, Readable

SECRET = "Zx+canary/of the=log9Q"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_values", {})
    monkeypatch.setattr(known, "_passing", {})
    monkeypatch.setattr(known, "_known", ())


def logged(formatter: logging.Formatter, said: str) -> str:
    """Log a failure in which a library repeats what it was given."""
    try:
        raise ValueError(said)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, f"failed with {said}", None, sys.exc_info())
        return formatter.format(record)


@pytest.mark.promise("secrets-stay")
@pytest.mark.parametrize("formatter", [JsonLines(), Readable()])
def test_a_traceback_holds_no_secret_that_was_read(formatter: logging.Formatter) -> None:
    secret = Secrets(environ={"KEY": SECRET}).fetch("env:KEY")
    forms = [secret.reveal(), quote(SECRET, safe=""), base64.b64encode(b"user:" + SECRET.encode()).decode()]
    for form in forms:
        assert form in str(ValueError(form))
        said = logged(formatter, form)
        assert form not in said
        # Within base64 it is hidden there, and packed again.
        assert "[credential]" in said or base64.b64encode(b"user:[credential]").decode() in said


def test_the_token_of_the_request_that_is_served_is_hidden_in_its_lines_alone() -> None:
    token = known.token_in_use.set("opaque-token-of-somebody")
    try:
        assert "opaque-token" not in logged(JsonLines(), "opaque-token-of-somebody")
    finally:
        known.token_in_use.reset(token)
    assert "opaque-token" in logged(JsonLines(), "opaque-token-of-somebody")


def test_addresses_give_their_passwords_and_plain_words_are_left_alone() -> None:
    for setting in (
        "postgresql://holdgate:hard%2Fto-guess@db/x",
        "redis://localhost",
        "postgres://postgres:postgres@db",
    ):
        known.remember_setting(setting)
    known.remember("short")

    assert known.literals() == ("hard%2Fto-guess", "hard/to-guess")


def test_old_values_are_forgotten_in_the_end() -> None:
    for number in range(300):
        known.remember(f"rotated-{number}")
    assert len(known.literals()) == 256
    assert known.literals()[-1] == "rotated-299"
