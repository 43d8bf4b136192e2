"""What of a message an approval is bound to, and what of it people are shown: everything but `_meta`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from masking import documents
from proxy import strictjson
from proxy.mcp import NAME_MEMBER, TAKE_ARGUMENTS

if TYPE_CHECKING:
    from proxy.mcp import Message


def bound_parameters(message: Message) -> bytes:
    """Return the canonical bytes of the arguments and of every other parameter that a server could act on.

    The name is bound beside them. `_meta` is not: it changes with every attempt (progress token, trace).
    """
    arguments = strictjson.canonical(message.arguments)
    rest = _rest(message)
    return b"\0" + strictjson.canonical([message.arguments, rest]) if rest else arguments


def shown_parameters(message: Message) -> Any:
    """Return what people decide on, every number in its own spelling; further parameters stand beside the arguments."""
    rest = _rest(message)
    shown = {"arguments": message.arguments, "other parameters": rest} if rest else message.arguments
    return documents.read(strictjson.canonical(shown).decode())[0]


def readable(arguments: Any) -> str:
    """Return arguments as an approver reads them; every number keeps its spelling."""
    return documents.write(arguments, documents.Style.INDENTED).decode()


def _rest(message: Message) -> dict[str, Any]:
    if message.method == "completion/complete":
        return {}  # its arguments are all its parameters already
    known = {"_meta", NAME_MEMBER.get(message.method, "name")}
    if message.method in TAKE_ARGUMENTS:
        known.add("arguments")  # elsewhere it is a parameter like any other, which a server may act on
    return {name: value for name, value in message.params.items() if name not in known}
