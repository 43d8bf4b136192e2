"""What `demo --auto` makes sure of: each promise that can be seen from outside, after the story was
played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from mcp_types import CallToolResult

from approvals.database import in_database
from gatewayproj.demo.evidence import forged_copy, found_in, history, kept_bytes
from gatewayproj.demo.orders_data import RAW_VALUES
from gatewayproj.demo.pipeline import MODERN, meta, pipeline, spoken
from gatewayproj.demo.stage import Stage
from gatewayproj.demo.story import READ, WHOSE, Seen

NO_ORDERS = """
  - name: orders-are-closed
    action: deny
    match: {arguments: [{path: sql, matches: '(?i)\\borders\\b'}]}
"""
COUNT_ORDERS = "SELECT count(*) AS n FROM orders"
AT_ONCE = {"holdgate/wait": 0}


class Broken(Exception):
    """A promise that was not kept; the message says what was seen instead."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise Broken when something does not hold."""
    if not holds:
        raise Broken(otherwise)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the checks look: the running stage, and what the story left behind."""

    stage: Stage
    seen: Seen

    async def call(self, tool: str, arguments: dict[str, Any], **options: Any) -> CallToolResult:
        """Make one call as the pipeline and remember its answer."""
        mode = str(options.pop("mode", "auto"))
        async with pipeline(self.stage.endpoint, self.stage.issuers.job(), mode=mode) as client:
            result = await client.call_tool(tool, arguments, **options)
        self.seen.answers.append(spoken(result))
        return result

    async def deletes(self) -> list[float]:
        """Return when the orders server executed a delete (seconds since 1970)."""
        statements = (await self.stage.ledger())["statements"]
        return [entry["at"] for entry in statements if entry["sql"].startswith("DELETE")]


async def intent_first(scene: Scene) -> str:
    """See the intent recorded before the server executed."""
    entries = await in_database(lambda: history(scene.seen.held_call))
    kinds = [kind for kind, _ in entries]
    expect("call.intent" in kinds and "call.result" in kinds, f"the record of the call holds {kinds}")
    expect(kinds.index("call.intent") < kinds.index("call.result"), f"the order is {kinds}")
    intended = dict(entries)["call.intent"]
    expect(intended <= (await scene.deletes())[0], "the server executed before the intent was recorded")
    return "the intent stands in the record before the server executed, the result after it"


async def bound_decision(scene: Scene) -> str:
    """See one approval run once, and serve no other call."""
    expect(len(await scene.deletes()) == 1, f"the server executed {len(await scene.deletes())} deletes")
    approved = scene.seen.approval["id"]
    again = meta(await scene.call("delete_orders", WHOSE, meta=AT_ONCE), "approval")
    expect(again.get("status") == "pending" and again.get("id") != approved, f"the same call again met {again}")
    handle = {**AT_ONCE, "holdgate/approval": {"id": approved}}
    other = meta(await scene.call("delete_orders", {"customer_id": 3}, meta=handle), "approval")
    expect(other.get("status") == "pending" and other.get("id") != approved, f"another call met {other}")
    expect(len(await scene.deletes()) == 1, "a call ran under somebody else's approval")
    return "executed exactly once; the same call again, and another one with that approval, are held anew"


async def masked_everywhere(scene: Scene) -> str:
    """See that nothing masked is readable anywhere."""
    kept = await in_database(lambda: list(kept_bytes(scene.stage.world.folder)))
    places = [*_answers(scene), *kept]
    found = found_in(RAW_VALUES, places)
    expect(not found, f"a card or an address is readable in {sorted(set(found))}")
    answers = len(scene.seen.answers)
    return f"no card and no address in {answers} answers, the database and the logs ({len(kept)} places)"


def _answers(scene: Scene) -> list[tuple[str, bytes]]:
    return [(f"answer {number}", text.encode()) for number, text in enumerate(scene.seen.answers)]


async def fail_closed(scene: Scene) -> str:
    """See that a token nobody signed is refused before anything happens."""
    forged = scene.stage.issuers.job()[:-8] + "AAAAAAAA"
    before = await scene.stage.executed()
    status, body = await scene.stage.knock(forged)
    expect(status == 401, f"a forged token is answered with {status}")
    expect(body.get("executed") == "false", f"the refusal says {body}")
    expect(await scene.stage.executed() == before, "something was executed for a forged token")
    return "a token with a broken signature is 401 and says that nothing was executed"


async def no_self_approval(scene: Scene) -> str:
    """See that those who asked could not decide."""
    votes = scene.seen.refused_votes
    expect(set(votes.values()) == {403}, f"the votes were answered with {votes}")
    return "the job, and Dave who started it and is a DBA, were refused"


async def secrets_stay(scene: Scene) -> str:
    """See that credentials stay on their side, also when the server tells its own."""
    token = scene.stage.world.orders_token
    result = await scene.call("connection_info", {})
    expect(not result.is_error, f"connection_info failed: {spoken(result)[:300]}")
    kept = await in_database(lambda: list(kept_bytes(scene.stage.world.folder)))
    found = found_in([token], [*_answers(scene), *kept])
    expect(not found, f"the server's credential is readable in {sorted(set(found))}")
    requests = (await scene.stage.ledger())["requests"]
    expect(not requests.get("foreign"), "a caller's token reached the server")
    return "the server told its credential, and the answer had it masked; no caller's token reached it"


async def rule_at_once(scene: Scene) -> str:
    """See a published rule govern the very next call."""
    before = await scene.call("query", {"sql": COUNT_ORDERS})
    expect(not before.is_error, f"the first call was refused: {spoken(before)[:300]}")
    revision = await scene.stage.publish(NO_ORDERS)
    decision = meta(await scene.call("query", {"sql": COUNT_ORDERS}), "decision")
    expect(decision.get("reason") == "blocked", f"the next call met {decision}")
    expect(decision.get("policy_revision") == revision, f"it was judged by {decision}, not by {revision}")
    return f"published between two calls, a rule blocked the second (revision {revision})"


def expect_sound(code: int, text: str) -> None:
    """Raise Broken unless `verify` ended well."""
    expect(code == 0, f"verify exits {code}: {text[-300:]}")


async def provable(scene: Scene) -> str:
    """See the record verified, and a forged copy found out."""
    if connection.vendor != "sqlite":
        expect_sound(*await scene.stage.verify())
        return "verify finds the record sound"
    copy = await in_database(lambda: forged_copy(scene.stage.world.folder))
    sound, (code, text) = await asyncio.gather(scene.stage.verify(), scene.stage.verify(copy))
    expect_sound(*sound)
    expect(code == 1, f"one changed byte: verify exits {code}: {text[-300:]}")
    return f"the record is sound; in a copy with one changed byte verify finds: {text.splitlines()[0]}"


async def unchanged_clients(scene: Scene) -> str:
    """See the official client work in both eras."""
    for mode in ("legacy", MODERN):
        result = await scene.call("query", {"sql": READ}, mode=mode)
        expect(not result.is_error, f"the official client, {mode}: {spoken(result)[:300]}")
    return f"the official client works in both eras (legacy and {MODERN}) with only its endpoint changed"


# In the order of the promises. The rule that is published must not stand in the way of those before it.
CHECKS: dict[str, Callable[[Scene], Awaitable[str]]] = {
    "intent-first": intent_first,
    "bound-decision": bound_decision,
    "fail-closed": fail_closed,
    "no-self-approval": no_self_approval,
    "unchanged-clients": unchanged_clients,
    "secrets-stay": secrets_stay,
    "rule-at-once": rule_at_once,
    "provable": provable,
    # Last, for it looks at everything that was written down until now.
    "masked-everywhere": masked_everywhere,
}
