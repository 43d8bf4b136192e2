"""Bundles made in the background: rows that somebody asked for, an attempt at a time, parts that anyone can hand out.

Made where the log's key is. The row is the truth: an attempt whose process died is silent and is taken over, one whose
row was deleted meanwhile finds that out and stops.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from sessions.checkpoint import Signer
from sessions.evidence.export import Exported, Wanted, export
from sessions.evidence.period import NotSealed
from sessions.ids import uuid7
from sessions.models import BundleJob, BundlePart

logger = logging.getLogger(__name__)

SILENCE: Final = timedelta(seconds=60)
"""An attempt that has said nothing for so long is over."""
PATIENCE: Final = timedelta(minutes=10)
"""So long is waited for the last entries of a period to get their place in the log."""
_BEAT_SECONDS: Final = 1.0
_PART: Final = 1 << 20
State = BundleJob.State
Report = Callable[[dict[str, Any]], str]


class Lost(Exception):
    """Another attempt has taken over, or nobody wants the bundle any more."""


def make_next(signer: Signer, report: Report) -> bool:
    """Make the oldest bundle that waits, if there is one and no other is being made; say whether it tried."""
    job = _claim()
    if job is None:
        return False
    attempt = _Attempt(job)
    try:
        with tempfile.TemporaryDirectory(prefix="holdgate-bundle-") as folder, attempt:
            target = Path(folder) / "bundle.zip"
            exported = export(Wanted(job.since, job.until, job.payloads), target, signer, report, attempt.progress)
            _keep(job, exported, signer.name, attempt)
    except NotSealed as error:
        _again_or_never(job, str(error))
    except Lost:
        BundlePart.objects.filter(making=job.making).delete()
    except Exception as error:
        logger.exception("a bundle of evidence could not be made")
        BundlePart.objects.filter(making=job.making).delete()
        # What it says may quote a secret or a call, and this is shown; the log masks it.
        problem = f"{type(error).__name__}; the log of the process that made it says more"
        _own(job).update(state=State.FAILED, problem=problem)
    return True


def parts(job: BundleJob) -> Iterator[bytes]:
    """Yield the file of a bundle piece by piece; memory does not grow with it."""
    rows = BundlePart.objects.filter(making=job.making).order_by("number")
    for number in range(-(-job.size // _PART)):
        yield bytes(rows.values_list("body", flat=True).get(number=number))


def end(job: BundleJob) -> bool:
    """Stop making a bundle, or let nobody have its file any more; say whether there was anything to end."""
    open_yet = BundleJob.objects.filter(pk=job.pk).exclude(state__in=[State.DELETED, State.FAILED])
    return bool(open_yet.update(state=State.DELETED, making=""))


def clear() -> None:
    """Delete the parts of files that no bundle has any more, or never came to have."""
    BundlePart.objects.exclude(making__in=BundleJob.objects.exclude(making="").values("making")).delete()


def _claim() -> BundleJob | None:
    silent = Q(state=State.MAKING, beat_at__lt=Now() - SILENCE)
    if BundleJob.objects.filter(state=State.MAKING).exclude(silent).exists():
        return None  # one at a time: each reads the whole log
    waiting = BundleJob.objects.filter(Q(state=State.WANTED) | silent)
    job = waiting.order_by("pk").first()
    if job is None:
        return None
    attempt = uuid7()
    taken = waiting.filter(pk=job.pk, making=job.making)
    if not taken.update(state=State.MAKING, making=attempt, beat_at=Now(), done=0, total=0, problem=""):
        return None
    BundlePart.objects.filter(making=job.making).exclude(making="").delete()
    job.making = attempt
    return job


def _own(job: BundleJob) -> QuerySet[BundleJob]:
    return BundleJob.objects.filter(pk=job.pk, making=job.making, state=State.MAKING)


def _keep(job: BundleJob, exported: Exported, origin: str, attempt: _Attempt) -> None:
    """Put the file into the database. Raises Lost."""
    digest, size = hashlib.sha256(), 0
    with exported.path.open("rb") as file:
        for number, body in enumerate(iter(lambda: file.read(_PART), b"")):
            attempt.check()
            BundlePart.objects.create(making=job.making, number=number, body=body)
            digest.update(body)
            size += len(body)
    kept = _own(job).update(
        state=State.MADE, name=f"evidence_{origin}_{job.since:%F}_{job.until:%F}.zip", size=size,
        digest=digest.hexdigest(), manifest=exported.manifest, first=exported.period.start, last=exported.period.end,
    )  # fmt: skip
    if not kept:
        raise Lost


def _again_or_never(job: BundleJob, why: str) -> None:
    if not _own(job).filter(asked_at__gt=Now() - PATIENCE).update(state=State.WANTED, problem=why):
        _own(job).update(state=State.FAILED, problem=why)


class _Attempt:
    """Says once a second how far the attempt is, on a connection of its own: the export keeps one view open."""

    def __init__(self, job: BundleJob) -> None:
        self._job, self._done, self._total = job, 0, 0
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="holdgate-bundle", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def progress(self, done: int, total: int) -> None:
        """Note how many entries are written. Raises Lost."""
        self._done, self._total = done, total
        self.check()

    def check(self) -> None:
        """Raise Lost when the attempt is not ours any more."""
        if self._lost:
            raise Lost

    def _beat(self) -> None:
        try:
            while not self._over.wait(_BEAT_SECONDS):
                if not _own(self._job).update(beat_at=Now(), done=self._done, total=self._total):
                    self._lost = True
                    return
        except Exception as error:  # noqa: BLE001 - whoever cannot say that it lives is taken for dead, and stops
            logger.warning("a bundle's progress could not be noted: %s", type(error).__name__)
            self._lost = True
        finally:
            connection.close()


class Maker:
    """A thread beside the sequencer, where it alone has the log's key: makes what is wanted until `stop`."""

    def __init__(self, signer: Callable[[], Signer], report: Report, *, period: float = 2.0) -> None:
        self._signer, self._report, self._period = signer, report, period
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdgate-bundles", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being made, or leave it to another after some seconds."""
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                make_next(self._signer(), self._report)
            except Exception as error:  # noqa: BLE001 - the log is signed all the same
                logger.warning("bundles of evidence are not made, and tried again: %s", error)
            connection.close()
