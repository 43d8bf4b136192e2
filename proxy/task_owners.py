"""Whose a task of a server is: noted when it begins, so that a list of tasks shows each caller its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import orjson
from django.db import DatabaseError

from approvals.database import database_now, in_database
from approvals.keys import keyed_digest
from masking import documents
from proxy import tasks
from proxy.faults import record_unavailable
from proxy.models import OwnTask

if TYPE_CHECKING:
    from proxy.exchange import Exchange

# A task that lives longer is still its caller's by its handle; it is not listed any more.
KEPT = timedelta(days=90)


class TaskOwners:
    """Notes whose tasks are whose, and tells them apart; one per process."""

    async def settled(self, exchange: Exchange, answer: bytes) -> bytes:
        """Return an answer after the task that it begins was noted; of a list what is the caller's own.

        Raises CallFailed where that cannot be written or read, and what reading it raises.
        """
        is_list = exchange.message.method == tasks.LISTING
        if not is_list and tasks.ID.encode() not in answer:
            return answer
        try:
            if is_list:
                content, _ = documents.read(answer.decode("utf-8"))
                known = partial(own, exchange.actor, exchange.connection_name, tasks.listed(content))
                return tasks.own_list(exchange, content, await in_database(known))
            if (task := tasks.begun(exchange, orjson.loads(answer))) is not None:
                await in_database(
                    partial(note, exchange.actor, exchange.connection_name, task, exchange.message.name or "")
                )
        except DatabaseError as error:
            raise record_unavailable(exchange.call_id, "true") from error
        return answer


def note(actor: str, connection: str, task: str, tool: str) -> None:
    """Note that a tool made a task for this caller. A server may use an id again: then it is the last one's."""
    made = {"caller": actor, "tool": tool, "created_at": database_now()}
    OwnTask.objects.update_or_create(digest=_digest(connection, task), defaults=made)


def own(actor: str, connection: str, listed: Sequence[str]) -> Mapping[str, str]:
    """Return which of these tasks are this caller's, and the tool that made each."""
    digests = {_digest(connection, task): task for task in listed}
    found = OwnTask.objects.filter(digest__in=list(digests), caller=actor)
    return {digests[one.digest]: one.tool for one in found}


def forget_old() -> int:
    """Delete what was noted long ago; return how many. Run by the sweep."""
    return OwnTask.objects.filter(created_at__lt=database_now() - KEPT).delete()[0]


def _digest(connection: str, task: str) -> str:
    return keyed_digest("own task", connection, task)
