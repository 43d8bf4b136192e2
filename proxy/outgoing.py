"""What goes out to the upstream of a caller's message: its own bytes, but for answers to what a server asked.

Those are data that flows to the server by its own wish, so masking rules govern them as they govern what comes from it;
nobody is excepted there, for the server is nobody of the configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from masking import documents
from proxy.answers import readdressed
from proxy.recording import outlet_of

if TYPE_CHECKING:
    from proxy.exchange import Exchange

ANSWERS = "inputResponses"


def body_of(exchange: Exchange) -> bytes:
    """Return the bytes to send. Raises MaskingFailed; the same bytes were masked for the record before."""
    message = exchange.message
    if message.kind == "response":
        return readdressed(bytes(outlet_of(exchange).for_record(message.raw)), message.id)
    if message.params.get(ANSWERS) is None:
        return message.raw
    content, _ = documents.read(message.raw.decode("utf-8"))
    given = documents.write(content["params"][ANSWERS])
    masked = bytes(outlet_of(exchange).for_record(given))
    if masked == given:
        return message.raw
    content["params"][ANSWERS] = documents.read(masked.decode("utf-8"))[0]
    return documents.write(content)
