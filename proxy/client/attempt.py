"""One attempt at a call: finding the era, the legacy handshake, the call itself, and reading what
comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.client import requests
from proxy.client.outcomes import Lost, Outcome, Refused, read_message, read_refusal
from proxy.client.requests import VERSIONS, Era, Request
from proxy.client.wire import ConnectionLost, Response

MOST_PAGES = 50
# Answers of whatever stands before the gateway: nobody can say whether the gateway has seen the request.
_LOST_STATUSES = frozenset({429, 500, 502, 503, 504})


class Sender(Protocol):
    """What an attempt needs of the wire."""

    def post(self, url: str, request: Request, headers: Mapping[str, str]) -> Any: ...
    def delete(self, url: str, headers: Mapping[str, str]) -> None: ...


class Stopped(Exception):
    """The attempt ended before an answer to the call: carries the outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of one attempt. Without `of_the_call` it ended before the call itself was sent."""

    outcome: Outcome
    of_the_call: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The call to make: where, which tool, and its arguments."""

    url: str
    tool: str
    arguments: Mapping[str, Any]


class Attempt:
    """Makes the call as often as it is asked to, and remembers the era of the server behind the gateway."""

    def __init__(self, wire: Sender, ask: Ask, *, on_progress: Callable[[str], None]) -> None:
        self._wire = wire
        self._ask = ask
        self._on_progress = on_progress
        self._era: Era | None = None
        self._mirrored: Mapping[str, str] | None = None

    def run(self, authorization: Mapping[str, str], knobs: Mapping[str, str]) -> Attempted:
        """Make the call once. `knobs` are the header fields of the call alone, such as `Prefer`."""
        try:
            self._era = self._era or self._find_era(authorization)
            call, session = self._ready(self._era, authorization)
        except Stopped as stopped:
            return Attempted(stopped.outcome, of_the_call=False)
        except ConnectionLost as lost:
            return Attempted(Lost(lost.why, sent=False), of_the_call=False)
        try:
            outcome = self._call(call, {**authorization, **knobs})
        except ConnectionLost as lost:
            return Attempted(Lost(lost.why, sent=lost.sent), of_the_call=True)
        self._close(session, authorization)
        return Attempted(outcome, of_the_call=True)

    def _find_era(self, authorization: Mapping[str, str]) -> Era:
        """Ask `server/discover`; whoever does not know it is of the legacy era (MCP 2026-07-28,
        versioning).
        """
        with self._wire.post(self._ask.url, requests.modern("server/discover"), authorization) as response:
            answer = _answer(response, 1) if response.status < 400 else None
            if answer is None:
                _stop_unless_unknown(response)
                return "legacy"
        result = answer.get("result")
        offered = result.get("supportedVersions") if isinstance(result, Mapping) else None
        known = isinstance(offered, list) and VERSIONS["modern"] in offered
        return "modern" if known else "legacy"

    def _ready(self, era: Era, authorization: Mapping[str, str]) -> tuple[Request, str]:
        """Do all that must come before the call; return its request, and the session of the legacy era."""
        params = requests.call_params(self._ask.tool, self._ask.arguments)
        if era == "legacy":
            session = self._open_session(authorization)
            return requests.legacy("tools/call", params, request_id=2, session=session), session
        if self._mirrored is None:
            self._mirrored = self._parameter_headers(authorization)
        request = requests.modern("tools/call", params, request_id=2)
        return Request(request.message, {**request.headers, **self._mirrored}), ""

    def _close(self, session: str, authorization: Mapping[str, str]) -> None:
        """End the legacy session, so that the server need not keep it. The result is there already."""
        if session:
            fields = requests.legacy("ping", session=session).headers
            with suppress(ConnectionLost):
                self._wire.delete(self._ask.url, {**authorization, **fields})

    def _parameter_headers(self, authorization: Mapping[str, str]) -> Mapping[str, str]:
        """Look the tool up, since a modern server wants some arguments repeated in header fields."""
        cursor: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            result = self._result(requests.modern("tools/list", cursor), authorization)
            tools = result.get("tools")
            for tool in tools if isinstance(tools, list) else []:
                if isinstance(tool, Mapping) and tool.get("name") == self._ask.tool:
                    return requests.parameter_headers(tool.get("inputSchema"), self._ask.arguments)
            if not result.get("nextCursor"):
                break
            cursor = {"cursor": result["nextCursor"]}
        return {}

    def _open_session(self, authorization: Mapping[str, str]) -> str:
        with self._wire.post(self._ask.url, requests.initialize(), authorization) as response:
            _stop_at_refusal(response, _answer(response, 1))
            session: str = response.headers.get("mcp-session-id", "")
        noted = requests.legacy("notifications/initialized", request_id=None, session=session)
        with self._wire.post(self._ask.url, noted, authorization) as response:
            _stop_at_refusal(response, {"result": {}})
        return session

    def _result(self, request: Request, authorization: Mapping[str, str]) -> Mapping[str, Any]:
        with self._wire.post(self._ask.url, request, authorization) as response:
            answer = _answer(response, 1)
            _stop_at_refusal(response, answer)
        result = (answer or {}).get("result")
        return result if isinstance(result, Mapping) else {}

    def _call(self, request: Request, headers: Mapping[str, str]) -> Outcome:
        with self._wire.post(self._ask.url, request, headers) as response:
            answer = _answer(response, 2, self._on_progress)
            if answer is not None and ("result" in answer or "error" in answer):
                return read_message(answer)
            return _without_answer(response, answer)


def _answer(
    response: Response, request_id: int, on_progress: Callable[[str], None] | None = None
) -> Mapping[str, Any] | None:
    """Return the response to a request out of all the messages that come, or None when the stream ends
    without it.
    """
    for message in response.messages:
        if not isinstance(message, Mapping):
            continue
        if message.get("method") == "notifications/progress" and on_progress is not None:
            params = message.get("params")
            on_progress(str(params.get("message") or "") if isinstance(params, Mapping) else "")
        elif "method" not in message and message.get("id", request_id) == request_id:
            return message
    return None


def _stop_unless_unknown(response: Response) -> None:
    """Stop where the refusal of a probe says nothing of the era: who calls is not known, or something is
    down.
    """
    if response.status in _LOST_STATUSES | {401, 403, 421} or 300 <= response.status < 400:
        raise Stopped(_without_answer(response, _answer(response, 1)))


def _stop_at_refusal(response: Response, answer: Mapping[str, Any] | None) -> None:
    """Stop the attempt where a step before the call was refused."""
    if answer is not None and "error" in answer:
        raise Stopped(read_message(answer))
    if response.status >= 300 or answer is None:
        raise Stopped(_before_the_call(_without_answer(response, answer)))


def _before_the_call(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Lost):
        return outcome
    return Lost(outcome.why, sent=False, retry_after=outcome.retry_after)


def _without_answer(response: Response, body: Mapping[str, Any] | None) -> Outcome:
    """Read an answer that is no JSON-RPC response: the plain refusal object, or what a bare status says."""
    if body is not None and isinstance(body.get("error"), Mapping):
        return read_message(body)
    refused = read_refusal(body) if body is not None else None
    if refused is not None:
        return refused
    if response.status in _LOST_STATUSES:
        after = response.headers.get("retry-after", "")
        seconds = float(after) if after.isdigit() else None
        return Lost(f"the answer was status {response.status}", sent=True, retry_after=seconds)
    if response.status < 300:
        return Lost("the answer ended before the result", sent=True)
    reason = {401: "unauthenticated", 403: "forbidden"}.get(response.status, "invalid_request")
    return Refused(reason=reason, executed="false", message=f"The answer was status {response.status}.")
