"""Brings the newest checkpoint to the places outside, beside the signing: a place that hangs holds nobody up."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sessions import logstore, store
from sessions.anchors import EACH_MINUTE, AnchorBroken
from sessions.models import AnchorState

if TYPE_CHECKING:
    from sessions.outside.places import Place

logger = logging.getLogger(__name__)

LATE: Final = timedelta(minutes=10)


class Feeder:
    """One place, fed in a thread of its own while `leads` says that this process signs the log."""

    def __init__(self, place: Place, leads: Callable[[], bool], *, look: float = 5.0) -> None:
        self._place, self._leads, self._look = place, leads, look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"holdgate-anchor {place.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a place that hangs is left behind."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def feed(self, now: datetime) -> bool:
        """Bring the newest checkpoint there when it is due; say whether it was. Raises django.db.Error.

        Each checkpoint covers all entries before it: one that is passed over, or failed, is not lost by that.
        """
        connection = store.current()
        state = AnchorState.objects.filter(name=self._place.name).first() or AnchorState(name=self._place.name)
        size = logstore.signed_size(connection)
        if size <= state.size or (state.tried_at is not None and now - state.tried_at < self._pause(state)):
            return False
        note = logstore.last_note(connection)
        assert note is not None  # noqa: S101 - something is signed
        state.tried_at = now
        try:
            self._place.put(note, size)
            state.size, state.put_at, state.error = size, now, ""
        except AnchorBroken as error:
            if state.error != str(error):
                logger.error("a checkpoint did not reach an anchor: %s", error)
            state.error = str(error)
        state.save()
        return True

    def _pause(self, state: AnchorState) -> timedelta:
        return EACH_MINUTE if state.error else self._place.every

    def _run(self) -> None:
        while not self._stopping.wait(self._look):
            try:
                if self._leads():
                    self.feed(datetime.now(UTC))
            except Exception as error:  # noqa: BLE001 - the next look tries again
                logger.warning("the anchor %s is tried again: %s", self._place.name, type(error).__name__)
            finally:
                with contextlib.suppress(Exception):
                    store.current().close()


def problems(places: Sequence[Place], now: datetime) -> list[str]:
    """Return one sentence for each of these places that failed last, or holds nothing new for long."""
    late = {place.name: max(LATE, 2 * place.every) for place in places}
    known = {state.name: state for state in AnchorState.objects.filter(name__in=late)}
    size = logstore.signed_size(store.current())
    found = []
    for name in late:
        state = known.get(name)
        if state is not None and state.error:
            found.append(f"the anchor {state.error}")
        elif size and (state is None or (state.size < size and _is_old(state, now - late[name]))):
            found.append(f"the anchor {name} holds {state.size if state else 0} of {size} signed entries")
    return found


def _is_old(state: AnchorState, before: datetime) -> bool:
    return state.put_at is None or state.put_at < before
