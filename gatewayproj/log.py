"""Logs on stderr: one JSON object a line, or a readable line on a terminal. Each passes the masking outlet."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from approvals import known
from masking.engine import Engine
from masking.literals import Literals
from masking.rules import MaskingRule

# What no log line may hold, whatever the policy says: these are hidden even before a policy is known.
ALWAYS = MaskingRule(
    name="logs", detectors=("api_key", "private_key", "password_assignment", "bearer_token", "credit_card", "email")
)
_MASKER = Engine((ALWAYS,), hash_key=b"logs are labelled, never hashed.").masker("", None)


class _Masked(logging.Formatter):
    def text_of(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        token = known.token_in_use.get()
        return _MASKER.text(text, literals=Literals(known.literals(), (token,) if token else ()))


class JsonLines(_Masked):
    """One JSON object a line: time (UTC), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"ts": time, "level": record.levelname, "logger": record.name, "message": self.text_of(record)}
        return json.dumps(line, ensure_ascii=False)


class Readable(_Masked):
    """A line for a person who watches; control characters of others cannot move the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = "".join(char if char.isprintable() or char == "\n" else "�" for char in self.text_of(record))
        return f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.name}: {text}"


def configuration(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for this level: readable on a terminal, JSON lines otherwise."""
    formatter = "gatewayproj.log.Readable" if sys.stderr.isatty() else "gatewayproj.log.JsonLines"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": [], "propagate": True},
            "uvicorn": {"handlers": [], "propagate": True, "level": "WARNING"},
            "uvicorn.access": {"handlers": [], "propagate": False, "level": "CRITICAL"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
        },
    }
