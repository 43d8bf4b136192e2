"""The gateway's own tools: what clients are told of them, and who answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from masking.schemas import OutputSchema
from proxy.builtin import asked, connections, explaining
from proxy.builtin.question import Mistaken, Question
from proxy.builtin.shapes import (
    AccessSaid,
    Approvals,
    Asked,
    Awaited,
    Connections,
    Explanation,
    Given,
    Listed,
    Nothing,
    Said,
    WaitSaid,
    Wanted,
)


@dataclass(frozen=True)
class Tool:
    """One tool. `answer` works on the database; it raises Mistaken for what the caller must ask differently."""

    name: str
    title: str
    description: str
    given: type[Given]
    said: type[Said]
    answer: Callable[[Question, Any], Said]
    reads_only: bool = True

    @cached_property
    def definition(self) -> Mapping[str, Any]:
        """Return the tool as `tools/list` names it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _plain(self.given.model_json_schema()),
            "outputSchema": _plain(self.said.model_json_schema(mode="serialization")),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.reads_only,
                "destructiveHint": False,
                "idempotentHint": self.reads_only,
                "openWorldHint": False,
            },
        }

    @cached_property
    def output(self) -> OutputSchema:
        """Return what every answer must be like, masked or not."""
        return OutputSchema(self.definition["outputSchema"])

    def read(self, arguments: Mapping[str, Any]) -> Given:
        """Return the arguments. Raises Mistaken, naming each that is wrong."""
        try:
            return self.given.model_validate(arguments)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()]
            raise Mistaken("; ".join(wrong[:5])) from error


def _plain(schema: Any) -> Any:
    """Return a JSON schema without the titles that a model's names make, which tell a client nothing."""
    if isinstance(schema, dict):
        return {name: _plain(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)}
    return [_plain(value) for value in schema] if isinstance(schema, list) else schema


_TOOLS = (
    Tool(
        "list_connections",
        "What may I call?",
        "The connections of this gateway that you may use: their addresses, the tools you may call there, and the "
        "rules that allow, hold (people must approve first) or deny calls of yours.",
        Nothing,
        Connections,
        connections.listed,
    ),
    Tool(
        "request_access",
        "Ask for access",
        "Ask people to let you use a connection for a while, where list_connections says that it can be asked for. "
        "Nothing is open before somebody approved; use wait_for_approval, and then call the connection.",
        Wanted,
        AccessSaid,
        asked.access,
        reads_only=False,
    ),
    Tool(
        "list_my_approvals",
        "My approval requests",
        "Your own calls that people were asked to approve, newest first: where each stands, who decides, and what to "
        "do now. The call itself is sent again at its own connection to get its result.",
        Listed,
        Approvals,
        asked.listed,
    ),
    Tool(
        "wait_for_approval",
        "Wait for a decision",
        "Wait until people decide about one of your requests, or until your time is up, and say what to do then. It "
        "runs nothing: once approved, send exactly the same call again at its own connection.",
        Awaited,
        WaitSaid,
        asked.awaited,
    ),
    Tool(
        "explain_decision",
        "Why was it decided so?",
        "Why a call of yours was allowed, held or denied (by call_id or approval_id), or what would happen to one that "
        "you might make (by connection, tool and arguments; nothing is run): rules, who decides, what to do.",
        Asked,
        Explanation,
        explaining.explained,
    ),
)
TOOLS: Mapping[str, Tool] = MappingProxyType({tool.name: tool for tool in _TOOLS})
