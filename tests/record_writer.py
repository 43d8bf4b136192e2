"""A process of its own that writes calls to the record until it is killed: `python -m tests.record_writer`.

Prints the id of every call whose intent is acknowledged. The database comes from DATABASE_URL.
"""

from __future__ import annotations

import itertools
import sys

import django

from sessions.events import Event
from sessions.ids import uuid7


def main() -> None:
    """Write until the end of the process."""
    django.setup()
    # Models can be imported only now.
    from tests.record import new_journal

    journal = new_journal()
    journal.start()
    for _ in itertools.count():
        call = uuid7()
        journal.append_now(Event(kind="call.intent", call_id=call))
        sys.stdout.write(f"{call}\n")
        sys.stdout.flush()
        journal.append_now(Event(kind="call.result", call_id=call))


if __name__ == "__main__":
    main()
