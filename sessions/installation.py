"""Where this installation keeps the log's key and its file anchor, by its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from sessions import logkey
from sessions.anchors import FileAnchor
from sessions.checkpoint import Signer
from sessions.outside import places as places_outside
from sessions.outside import s3
from sessions.outside.feeding import Feeder
from sessions.sequencer import Sequencer


def log_key() -> Path:
    """Return the file of the private key that signs the log."""
    return Path(settings.LOG_KEY)


def public_key() -> Path:
    """Return the file of its public half: all that a process needs which does not sign."""
    return Path(settings.STATE_DIR) / "keys" / "log.pub"


def anchor() -> FileAnchor:
    """Return the file anchor."""
    return FileAnchor(Path(settings.ANCHOR_FILE))


def places() -> list[places_outside.Place]:
    """Return the anchors beside the file. Raises NotAnAnchor."""
    keys = s3.Keys(settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY, settings.S3_SESSION_TOKEN)
    return places_outside.parse(settings.ANCHORS, keys)


def place_names() -> list[str]:
    """Return the names of the anchors beside the file; nothing where none is set."""
    return [place.name for place in places()] if settings.ANCHORS else []


def feeders(signing: Sequencer) -> list[Feeder]:
    """Return who feeds the anchors beside the file while this sequencer signs, not started. Raises NotAnAnchor."""
    return [Feeder(place, lambda: signing.leads) for place in places()]


def origin() -> str:
    """Return the name of the log, which its key has had from the beginning, whatever the setting says by now.

    A hardened process knows the public half alone; any other one makes the key when it is missing. Raises KeyUnusable.
    """
    if settings.HARDENED:
        return logkey.read_public(public_key()).name
    return signer().name


def signer() -> Signer:
    """Return who signs the log, making the key at the first use; its public half is kept in the state folder too.

    Where only run_sequencer may have the key, none is made. Raises KeyUnusable.
    """
    return logkey.load(log_key()) if settings.HARDENED else _made()


def _made() -> Signer:
    made = logkey.ensure(log_key(), settings.ORIGIN)
    logkey.keep_public(made, public_key())
    return made


def sequencer(elected: Callable[[int], None] = lambda _epoch: None) -> Sequencer:
    """Return who signs this installation's log, not started; `elected` as there. Raises KeyUnusable."""
    return Sequencer(_made(), [anchor()], renewed=logkey.Renewal(log_key()), elected=elected)
