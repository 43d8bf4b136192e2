"""One shape for what the API refuses: the refusal object of the contract, beside DRF's for validation."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from approvals.api.serializers import refusal
from approvals.runtime import runtime

REASONS = {401: "unauthenticated", 403: "forbidden", 404: "forbidden", 413: "too_large", 429: "rate_limited"}
MESSAGES = {404: "There is nothing here, or it is not for you."}


def answered(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an exception of a view; None for a fault, which is Django's to handle."""
    response = exception_handler(error, context)
    if response is None:
        return None
    reason = REASONS.get(response.status_code, "invalid_request")
    if isinstance(error, exceptions.ValidationError):
        response.data = refusal(reason, "The request is not valid.") | {"errors": _masked(error.detail)}
        return response
    detail = _masked(str(getattr(error, "detail", error)))
    response.data = refusal(reason, MESSAGES.get(response.status_code, detail)) | {"detail": detail}
    return response


def _masked(found: Any) -> Any:
    """Mask what validation says: it quotes what was sent."""
    if isinstance(found, dict):
        return {_masked(name): _masked(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_masked(value) for value in found]
    return runtime().policies.current.outlet("").text(str(found))
