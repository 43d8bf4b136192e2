"""The demo as a story: a pipeline reads, tries what it must not, and waits for a person."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from approvals.database import in_database
from gatewayproj.demo.issuer import ALICE, BOB, DAVE
from gatewayproj.demo.keys import Keys
from gatewayproj.demo.pipeline import meta, pipeline, said, spoken
from gatewayproj.demo.scroll import Scroll
from gatewayproj.demo.stage import Stage
from sessions.models import Entry

READ = "SELECT name, email, card FROM customers"
DROP = "DROP TABLE customers"
WHOSE = {"customer_id": 2}
HELD_WITHIN = 15.0
LOG_TICKS = 15.0


class DemoFailed(Exception):
    """Something that the demo shows did not happen; the message says what."""


@dataclass(slots=True)
class Seen:
    """What the story leaves behind for those who check it."""

    answers: list[str] = field(default_factory=list)
    approval: dict[str, Any] = field(default_factory=dict)
    refused_votes: dict[str, int] = field(default_factory=dict)
    held_call: str = ""
    session: str = ""


class Story:
    """Plays the acts in their order and tells them."""

    def __init__(self, stage: Stage, scroll: Scroll, *, auto: bool) -> None:
        self._stage = stage
        self._scroll = scroll
        self._auto = auto
        self.seen = Seen()

    async def play(self) -> Seen:
        """Play all acts. Raises DemoFailed."""
        self._scroll.plain("\nA pipeline was given the gateway's address instead of the database server's.\n")
        async with pipeline(self._stage.endpoint, self._stage.issuers.job()) as client:
            await self._look_around(client)
            await self._read(client)
            await self._drop(client)
            await self._delete(client)
        await self._record()
        return self.seen

    async def call(self, client: Client, tool: str, arguments: dict[str, Any], **options: Any) -> CallToolResult:
        """Make one call as the pipeline and remember what it was answered."""
        result = await client.call_tool(tool, arguments, **options)
        self.seen.answers.append(spoken(result))
        return result

    async def _look_around(self, client: Client) -> None:
        tools = await client.list_tools()
        self.seen.answers.append(tools.model_dump_json())
        names = ", ".join(tool.name for tool in tools.tools)
        self._scroll.line("tools", f"It sees {names}.")

    async def _read(self, client: Client) -> None:
        result = await self.call(client, "query", {"sql": READ})
        rows = (result.structured_content or {}).get("rows") or []
        if result.is_error or not rows:
            raise DemoFailed(f"Reading was not answered with rows: {said(result)[:300]}")
        self._scroll.line("masked", f"{READ}:")
        for row in rows:
            self._scroll.line("", f"{row['name']:<14} {row['email']:<10} {row['card']}")

    async def _drop(self, client: Client) -> None:
        before = await self._stage.executed()
        result = await self.call(client, "query", {"sql": DROP})
        if not result.is_error or await self._stage.executed() != before:
            raise DemoFailed("DROP TABLE was not blocked.")
        rule = meta(result, "decision").get("rule")
        self._scroll.line(
            "blocked",
            f"{DROP}: by the rule {rule}. The server has executed {before} statement(s), and not this one.",
        )

    async def _delete(self, client: Client) -> None:
        call = asyncio.create_task(self.call(client, "delete_orders", WHOSE, progress_callback=_unheard))
        try:
            approval = self.seen.approval = await self._held(call)
            self._scroll.line(
                "held",
                f"delete_orders {WHOSE}: waits on an open connection, rule {approval['rule']}. "
                f"The server knows nothing of it: {await self._stage.executed()} statement(s).",
            )
            await (self._decide_alone(approval) if self._auto else self._let_people_decide(approval, call))
            result = await asyncio.wait_for(call, HELD_WITHIN)
        finally:
            call.cancel()
        self.seen.held_call = str(meta(result, "decision").get("call_id") or approval["call_id"])
        await self._tell_who_decided(approval["id"])
        self._tell_the_end(result)

    async def _held(self, call: asyncio.Task[CallToolResult]) -> dict[str, Any]:
        """Wait until the call shows up as an approval. Raises DemoFailed when it does not."""
        deadline = time.monotonic() + HELD_WITHIN
        while time.monotonic() < deadline and not call.done():
            if (approval := await self._stage.pending()) is not None:
                return approval
            await asyncio.sleep(0.1)
        answer = said(call.result())[:300] if call.done() else "nothing"
        raise DemoFailed(f"The delete was not held; its answer: {answer}")

    async def _decide_alone(self, approval: dict[str, Any]) -> None:
        """Let those try who must not decide, then Alice."""
        for name, token in (("dave", self._stage.issuers.person(DAVE)), ("job", self._stage.issuers.job())):
            self.seen.refused_votes[name], _ = await self._stage.decide(approval["id"], "approve", token)
        status, answer = await self._stage.decide(approval["id"], "approve", self._stage.issuers.person(ALICE))
        if status != 200:
            raise DemoFailed(f"Alice's approval was answered with {status}: {answer}")

    async def _let_people_decide(self, approval: dict[str, Any], call: asyncio.Task[CallToolResult]) -> None:
        self._scroll.line("decide", "Open one of these, each good for one sign-in; the request is in the inbox:")
        for somebody in (ALICE, BOB):
            self._scroll.line("", f"{await self._stage.sign_in_link(somebody)}  (as {somebody.name})")
        with Keys() as keys:
            await self._tick(approval, call, keys)

    async def _tick(self, approval: dict[str, Any], call: asyncio.Task[CallToolResult], keys: Keys) -> None:
        began = time.monotonic()
        told = -LOG_TICKS
        key = asyncio.create_task(keys.next())
        hint = "a + Enter approves as Alice, d + Enter denies" if keys.is_terminal else "open a link to decide"
        while not call.done():
            waited = time.monotonic() - began
            if self._scroll.is_terminal or waited - told >= LOG_TICKS:
                told = waited
                self._scroll.tick(f"the step waits, {int(waited) // 60}:{int(waited) % 60:02}   ({hint})")
            await asyncio.wait({call, key}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            if key.done():
                await self._decide_by_key(approval, key.result())
                key = asyncio.create_task(keys.next())
        key.cancel()

    async def _decide_by_key(self, approval: dict[str, Any], key: str) -> None:
        decision = {"a": "approve", "d": "deny"}.get(key)
        if decision is not None:
            token = self._stage.issuers.person(ALICE)
            status, answer = await self._stage.decide(approval["id"], decision, token)
            if status not in {200, 409}:
                self._scroll.line("REFUSED", f"{status}: {answer.get('message', '')}")

    async def _tell_who_decided(self, approval_id: str) -> None:
        _, answer = await self._stage.api(f"approvals/{approval_id}/", self._stage.issuers.person(ALICE))
        for vote in answer.get("votes") or []:
            word = {"approve": "approved", "deny": "denied"}.get(vote["decision"], vote["decision"])
            way = {"api": "through the API", "dashboard": "on the dashboard"}.get(vote["via"], vote["via"])
            self._scroll.line(word, f"by {vote['display']}, {way}.")

    def _tell_the_end(self, result: CallToolResult) -> None:
        reason = meta(result, "decision").get("reason")
        if not result.is_error:
            changed = (result.structured_content or {}).get("changed")
            self._scroll.line("executed", f"once, after the decision: {changed} row(s) deleted.")
        else:
            self._scroll.line("answer", f"{reason or 'error'}: {said(result)[:300]}")

    async def _record(self) -> None:
        entry = await in_database(lambda: Entry.objects.filter(call_id=self.seen.held_call).first())
        self.seen.session = entry.session if entry else ""
        if self.seen.session:
            self._scroll.line("replay", f"{self._stage.base}/sessions/{self.seen.session}/")
        code, text = await self._stage.verify()
        last = text.splitlines()[-1] if text else ""
        if code != 0:
            raise DemoFailed(f"verify exits {code}: {text[-600:]}")
        self._scroll.line("verified", f"manage.py verify: {last.removeprefix('verified ')}")


async def _unheard(progress: float, total: float | None, message: str | None) -> None:
    """Ask for progress notes, which keep clients on the line; the story tells the waiting itself."""
