"""What the everything server asks its client: forms of the older era, and rounds of the newer one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

Context = ServerRequestContext[Any, Any]
Responses = Mapping[str, Any] | None


def _form(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


USER = _form(
    username={"type": "string", "description": "User's response"},
    email={"type": "string", "description": "User's email address"},
)
TYPED_DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}


def _titled(**options: str) -> list[dict[str, str]]:
    return [{"const": value, "title": title} for value, title in options.items()]


ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _titled(value1="First", value2="Second", value3="Third")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": _titled(value1="First", value2="Second")}},
    },
}


def _elicit(message: str, **properties: dict[str, Any]) -> types.ElicitRequest:
    form = types.ElicitRequestFormParams(message=message, requested_schema=_form(**properties))
    return types.ElicitRequest(params=form)


def _sample(text: str, tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=tokens))


NAME = _elicit("What is your name?", name={"type": "string"})
CONFIRM = _elicit("Please confirm", ok={"type": "boolean"})
COLOR = _elicit("Step 2: What is your favorite color?", color={"type": "string"})
CONTEXT = _elicit("What context should the prompt use?", context={"type": "string"})
CAPITAL = _sample("What is the capital of France?", 100)


def _asked(state: str | None = None, **requests: Any) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def _done(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


Rounds = Callable[[Context, Responses, str | None], Any]


def _until_answered(*, state: str | None = None, says: str = "Answered.", **requests: Any) -> Rounds:
    """Ask until every question has an answer, and the state came back where there is one."""

    def rounds(_: Context, responses: Responses, given: str | None) -> Any:
        if state is not None and given is not None and given != state:
            raise MCPError(code=types.INVALID_PARAMS, message="The state is not of this server.")
        if given != state or not set(requests) <= set(responses or {}):
            return _asked(state, **requests)
        return _done(says)

    return rounds


def _two_rounds(_: Context, responses: Responses, state: str | None) -> Any:
    answered = responses or {}
    if state == "round 2" and "step2" in answered:
        return _done("Both steps are done.")
    if state == "round 1" and "step1" in answered:
        return _asked("round 2", step2=COLOR)
    return _asked("round 1", step1=NAME)


def _as_declared(ctx: Context, responses: Responses, _: str | None) -> Any:
    declared = ctx.session.client_capabilities
    if responses:
        return _done("Answered.")
    if declared is not None and declared.elicitation is not None:
        return _asked(user_name=NAME)
    return _asked(capital_question=CAPITAL)


def _echoed(_: Context, responses: Responses, __: str | None) -> Any:
    answered = (responses or {}).get("user_name")
    if not isinstance(answered, types.ElicitResult):
        return _asked(user_name=NAME)
    HEARD.append(json.dumps({"action": answered.action, "content": answered.content}))
    return _done(f"Heard {len(HEARD)}.")


HEARD: list[str] = []  # what clients answered in rounds, as it came here
ROUNDS: dict[str, Rounds] = {
    "echo_responses": _echoed,
    "test_input_required_result_elicitation": _until_answered(user_name=NAME),
    "test_streaming_elicitation": _until_answered(user_name=NAME),
    "test_input_required_result_sampling": _until_answered(capital_question=CAPITAL),
    "test_input_required_result_list_roots": _until_answered(client_roots=types.ListRootsRequest()),
    "test_input_required_result_request_state": _until_answered(state="begun", says="state-ok", confirm=CONFIRM),
    "test_input_required_result_multiple_inputs": _until_answered(
        state="begun",
        user_name=NAME,
        greeting=_sample("Generate a greeting", 50),
        client_roots=types.ListRootsRequest(),
    ),
    "test_input_required_result_multi_round": _two_rounds,
    "test_input_required_result_tampered_state": _until_answered(state="begun", confirm=CONFIRM),
    "test_input_required_result_capabilities": _as_declared,
    "test_input_required_result_prompt": _until_answered(user_context=CONTEXT),
}
