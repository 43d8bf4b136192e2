"""From a word of HOLDGATE_ANCHORS to a place: `syslog`, `git`, `s3` or `tsa`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sessions.outside import git, s3, syslog, tsa

KINDS: Final = "syslog://, syslog+tcp://, syslog+tls://, git:///, s3://, tsa+https://, tsa+http://"


class NotAnAnchor(ValueError):
    """A word that names no anchor."""


class Place(Protocol):
    """Where a checkpoint is put. `name` tells which one it is, without any secret."""

    name: str
    every: timedelta  # between two checkpoints, at least

    def put(self, note: str, size: int) -> None:
        """Hand a checkpoint over, the same as often as one likes. Raises AnchorBroken."""


def parse(words: Sequence[str], keys: s3.Keys) -> list[Place]:
    """Return the places that these words name. Raises NotAnAnchor for one that names none."""
    places = [_place(word, keys) for word in words]
    if len({place.name for place in places}) != len(places):
        raise NotAnAnchor("HOLDGATE_ANCHORS names a place twice")
    return places


def _place(word: str, keys: s3.Keys) -> Place:
    url = urlsplit(word)
    options = dict(parse_qsl(url.query))
    try:
        if url.scheme in syslog.PORTS:
            return syslog.Syslog(url.scheme, _host(url), url.port or syslog.PORTS[url.scheme], options.get("ca", ""))
        if url.scheme == "git" and url.path:
            return git.Repository(unquote(url.path), options.get("push", ""))
        if url.scheme == "s3":
            return s3.Bucket(_host(url), url.path.strip("/"), keys, **options)
        if url.scheme in tsa.SCHEMES and _host(url):
            return tsa.Authority(url, **options)
    except (ValueError, TypeError) as error:
        raise NotAnAnchor(f"HOLDGATE_ANCHORS: {url.scheme}://{url.hostname or ''}{url.path}: {error}") from error
    raise NotAnAnchor(f"HOLDGATE_ANCHORS: {url.scheme or word!r} is none of {KINDS}")


def _host(url: SplitResult) -> str:
    if not url.hostname:
        raise ValueError("a host or bucket is missing")
    return url.hostname
