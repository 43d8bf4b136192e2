"""Gives committed entries their place in the Merkle log and signs the tree head. Elected, fenced.

Places and checkpoint are one transaction; only after its commit the checkpoint goes to the anchors.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import direct, logstore, store
from sessions.anchors import Anchor, AnchorBroken
from sessions.checkpoint import CheckpointInvalid, Signer
from sessions.ids import uuid7
from sessions.leadership import Leadership
from sessions.tree import EMPTY_ROOT, Frontier, ProofInvalid

logger = logging.getLogger(__name__)

_BATCH: Final = 5_000
_BARRIER_EVERY: Final = 10_000


class LogRefused(Exception):
    """What the database says contradicts what was signed before. Nothing more is signed."""


class Fenced(Exception):
    """Another sequencer has taken the office."""


class Sequencer:
    """The one that signs. `signer` is the log's key; `anchors` get every checkpoint; `period` is in seconds.
    `renewed` is asked before each run for another signer: keys are rotated without a restart. `elected` is called, in
    the thread that runs, with the number of the term whenever the office was taken.

    `run_once` may be called from any one thread; `start` runs it in a thread of its own until `stop`.
    `error` says why nothing is signed at the moment, "" when all is well.
    """

    def __init__(
        self,
        signer: Signer,
        anchors: Sequence[Anchor] = (),
        *,
        period: float = 0.3,
        renewed: Callable[[], Signer | None] = lambda: None,
        elected: Callable[[int], None] = lambda _epoch: None,
    ) -> None:
        self.error = ""
        self._signer = signer
        self._renewed, self._elected = renewed, elected
        self._anchors = tuple(anchors)
        self._period = period
        self._leadership = Leadership(uuid7())
        self._epoch: int | None = None
        self._low_water = 0
        self._settled = 0
        self._since_barrier = 1
        self._unpublished = True
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="holdgate-sequencer", daemon=True)

    @property
    def leads(self) -> bool:
        """Say whether this one signed last and has not lost the office since, as far as it knows."""
        return self._epoch is not None

    def start(self) -> None:
        """Begin to run every period, in a thread with its own connection."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the office up."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def poke(self) -> None:
        """Run at once instead of at the end of the period."""
        self._wake.set()

    def run_once(self) -> int:
        """Give a place to everything that is committed and has none; return how many entries that were.

        Returns 0 while another holds the office. Raises LogRefused when the stored log contradicts its last
        checkpoint or an anchor, AnchorBroken when an anchor cannot be asked before the first signature,
        django.db.Error when the database does not answer.
        """
        self._signer = self._renewed() or self._signer
        connection = store.current()
        epoch = self._leadership.hold(connection)
        if epoch is None:
            return 0
        if epoch != self._epoch:
            self._take_over(connection, epoch)
            self._elected(epoch)
        total = 0
        try:
            while pending := logstore.unindexed(connection, self._low_water, _BATCH):
                self._place(connection, epoch, pending)
                total += len(pending)
                if len(pending) < _BATCH:
                    self._settle(connection, epoch)
                    break  # what came meanwhile waits for the next period, together with what comes until then
                # A full batch ends in the middle: what lies above it may have no place yet.
                self._settle(connection, epoch, below=pending[-1][0])
            if not total:
                self._settle(connection, epoch, idle=True)
        except Fenced:
            logger.info("another sequencer has taken over")
            self.resign()
        if self._unpublished:
            self._publish(connection)
        return total

    def resign(self) -> None:
        """Give the office up; the next `run_once` stands for it again."""
        self._epoch = None
        self._leadership.resign(store.current())

    def _take_over(self, connection: BaseDatabaseWrapper, epoch: int) -> None:
        state = logstore.state(connection)
        self._frontier(connection, state)
        for anchor in self._anchors:
            ahead = anchor.latest_size()
            if ahead > state.size:
                msg = f"an anchor holds a checkpoint of {ahead} entries, the database ends at {state.size}"
                raise LogRefused(msg)
        self._epoch, self._low_water, self._settled = epoch, state.low_water, state.low_water
        self._since_barrier, self._unpublished = 1, True

    def _frontier(self, connection: BaseDatabaseWrapper, state: logstore.State) -> Frontier:
        """Return the stored frontier, after its root proved to be the one that was signed last."""
        note = logstore.last_note(connection)
        try:
            frontier = Frontier.from_bytes(state.size, state.frontier)
            signed = self._signer.opens(note) if note is not None else None
        except (CheckpointInvalid, ProofInvalid) as error:
            msg = f"the last checkpoint or the stored tree does not hold: {error}"
            raise LogRefused(msg) from error
        head = (signed.size, signed.root) if signed is not None else (0, EMPTY_ROOT)
        if head != (frontier.size, frontier.root()):
            msg = f"the stored tree of {state.size} entries is not the one that was signed last"
            raise LogRefused(msg)
        return frontier

    def _place(self, connection: BaseDatabaseWrapper, epoch: int, pending: Sequence[tuple[int, bytes]]) -> None:
        with transaction.atomic(durable=True):
            state = logstore.state(connection)
            if state.epoch != epoch:
                raise Fenced
            frontier = self._frontier(connection, state)
            places = []
            for entry_id, leaf_hash in pending:
                places.append((frontier.size, entry_id))
                frontier.append(leaf_hash)
            root = frontier.root()
            note = self._signer.sign(frontier.size, root)
            # The fence: were the office lost since we looked, nothing of this transaction happens.
            if not logstore.advance(connection, epoch, frontier.size, frontier.to_bytes()):
                raise Fenced
            logstore.append(connection, places, frontier.size, root, note)
        self._unpublished = True
        self._since_barrier += len(places)

    def _settle(
        self, connection: BaseDatabaseWrapper, epoch: int, *, below: int | None = None, idle: bool = False
    ) -> None:
        """Move the low-water mark, so that the search for what has no place stays short, also under constant load.

        Called when everything that the last search could see has its place, or everything up to the id `below`: so has
        what was settled before that search.
        """
        settled = self._settled if below is None else min(self._settled, below)
        if settled > self._low_water:
            if not logstore.raise_low_water(connection, epoch, settled):
                raise Fenced
            self._low_water = settled
        if self._since_barrier and (idle or self._since_barrier >= _BARRIER_EVERY):
            # A long transaction is in flight when the lock is not to be had: the next time then.
            with contextlib.suppress(OperationalError), transaction.atomic(durable=True):
                self._settled = logstore.highest_settled(connection)
                self._since_barrier = 0

    def _publish(self, connection: BaseDatabaseWrapper) -> None:
        try:
            for anchor in self._anchors:
                for note in logstore.notes_after(connection, anchor.latest_size()):
                    anchor.publish(note)
        except AnchorBroken as error:
            # Signed and committed it is; the anchor gets it with the next run that succeeds.
            self.error = str(error)
            logger.error("a checkpoint could not be anchored: %s", error)
            return
        self._unpublished = False
        self.error = ""

    def _run(self) -> None:
        direct.use_in_this_thread()  # the office is a lock of the session
        while not self._stopping:
            try:
                self.run_once()
                self.error = self.error if self._unpublished else ""
            except Exception as error:
                if str(error) != self.error:
                    logger.exception("the log is not extended: %s", error)
                self.error = str(error)
                self._epoch = None
                self._leadership.lose()
                with contextlib.suppress(Exception):
                    store.current().close()
            self._wake.wait(self._period)
            self._wake.clear()
        with contextlib.suppress(Exception):
            # What was committed last, such as the end of the process; where this fails, the next start goes on.
            self.run_once()
        with contextlib.suppress(Exception):
            self.resign()
            store.current().close()
