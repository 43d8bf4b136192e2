"""What the everything server lists: tools, resources and prompts under the names of the conformance suite."""

from __future__ import annotations

from typing import Any

import mcp_types as types

# One red pixel, and a recording of nothing.
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

_PLAIN = (
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_tool_with_progress",
    "test_error_handling",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
)


def _tool(name: str, schema: dict[str, Any]) -> types.Tool:
    return types.Tool(name=name, description=f"Serves the conformance suite: {name}.", input_schema=schema)


def _takes(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


# The keywords of JSON Schema 2020-12 that a gateway may lose on the way.
_RICH: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

TOOLS = [
    *(_tool(name, {"type": "object", "properties": {}}) for name in _PLAIN),
    _tool("test_sampling", _takes(prompt={"type": "string"})),
    _tool("test_elicitation", _takes(message={"type": "string"})),
    _tool("test_custom_headers", _takes(region={"type": "string", "x-mcp-header": "Region"})),
    _tool("json_schema_2020_12_tool", _RICH),
    # What the gateway's own tests call.
    _tool("announce", _takes(text={"type": "string"})),
    _tool("echo_responses", {"type": "object", "properties": {}}),
    _tool("roots", {"type": "object", "properties": {}}),
    _tool("touch", _takes(uri={"type": "string"})),
    # What nobody may call here without a person's consent, or at all.
    _tool("delete_everything", _takes(reason={"type": "string"})),
    _tool("drop_everything", _takes(reason={"type": "string"})),
]

RESOURCES = [
    types.Resource(uri=uri, name=name, description=f"Serves the conformance suite: {name}.", mime_type=mime_type)
    for uri, name, mime_type in (
        ("test://static-text", "Static text", "text/plain"),
        ("test://static-binary", "Static binary", "image/png"),
        ("test://watched-resource", "Watched", "text/plain"),
    )
]
TEMPLATE = types.ResourceTemplate(
    uri_template="test://template/{id}/data",
    name="Template",
    description="A template with one parameter.",
    mime_type="application/json",
)


def _prompt(name: str, *arguments: str) -> types.Prompt:
    taken = [types.PromptArgument(name=one, description=f"The argument {one}.", required=True) for one in arguments]
    return types.Prompt(name=name, description=f"Serves the conformance suite: {name}.", arguments=taken)


PROMPTS = [
    _prompt("test_simple_prompt"),
    _prompt("test_prompt_with_arguments", "arg1", "arg2"),
    _prompt("test_prompt_with_embedded_resource", "resourceUri"),
    _prompt("test_prompt_with_image"),
    _prompt("test_input_required_result_prompt"),
]
