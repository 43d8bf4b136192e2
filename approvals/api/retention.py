"""Legal holds and erasures over the API: the same services as the page, the same people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import erasure
from approvals.api.requests import unavailable
from approvals.api.serializers import refusal
from approvals.runtime import runtime
from approvals.searching import Unfit, moment
from sessions.journal import RecordUnavailable
from sessions.models import ErasureRequest, LegalHold

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from rest_framework.request import Request

    from approvals.verdicts import Caller

MOST: Final = 200
_NAMES: Final = ("connection", "session", "call_id", "actor")
_ANSWERS: Final = {
    200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT, 403: OpenApiTypes.OBJECT, 404: OpenApiTypes.OBJECT,
    409: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT,
}  # fmt: skip


class Holds(APIView):
    """Legal holds."""

    @extend_schema(operation_id="holds_list", responses=_ANSWERS)
    def get(self, request: Request) -> Response:
        """List holds, the newest first, those that were lifted too."""
        _caller(request)
        return Response({"results": [_hold(row) for row in LegalHold.objects.all()[:MOST]]})

    @extend_schema(request=OpenApiTypes.OBJECT, responses={**_ANSWERS, 201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Hold what fits all of `connection`, `session`, `call_id`, `actor`, `since`, `until`; `reason` is required."""
        caller, sent = _caller(request), _sent(request, (*_NAMES, "since", "until", "reason"))

        def work() -> dict[str, Any]:
            what = {name: sent.get(name, "")[:200] for name in _NAMES}
            times = {name: moment(name, sent.get(name, "")) for name in ("since", "until")}
            return _hold(erasure.place(runtime(), caller, sent.get("reason", ""), **what, **times))

        return _done(work, 201)


class Lift(APIView):
    """The end of a hold."""

    @extend_schema(request=OpenApiTypes.OBJECT, responses=_ANSWERS)
    def post(self, request: Request, hold_id: str) -> Response:
        """Lift a hold; `reason` is required."""
        caller, sent = _caller(request), _sent(request, ("reason",))
        row = LegalHold.objects.filter(pk=hold_id).first()
        if row is None:
            raise NotFound

        def work() -> dict[str, Any]:
            erasure.lift(runtime(), caller, row, sent.get("reason", ""))
            row.refresh_from_db()
            return _hold(row)

        return _done(work, 200)


class Erasures(APIView):
    """Erasures that were asked for."""

    @extend_schema(operation_id="erasures_list", responses=_ANSWERS)
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        _caller(request)
        return Response({"results": [_erasure(row) for row in ErasureRequest.objects.all()[:MOST]]})

    @extend_schema(request=OpenApiTypes.OBJECT, responses={**_ANSWERS, 201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Ask for the payloads of a `session`, or of one `call_id` in it, to be erased; `reason` is required."""
        caller, sent = _caller(request), _sent(request, ("session", "call_id", "reason"))
        session, call = sent.get("session", "")[:64], sent.get("call_id", "")[:64]
        return _done(lambda: _erasure(erasure.ask(runtime(), caller, session, call, sent.get("reason", ""))), 201)


class EndErasure(APIView):
    """Confirming or withdrawing an erasure."""

    @extend_schema(operation_id="erasures_end", request=None, responses=_ANSWERS)
    def post(self, request: Request, erasure_id: str, what: str) -> Response:
        """`confirm` what somebody else asked for, or `withdraw` it."""
        caller, row = _caller(request), ErasureRequest.objects.filter(pk=erasure_id).first()
        if row is None or what not in {"confirm", "withdraw"}:
            raise NotFound

        def work() -> dict[str, Any]:
            (erasure.confirm if what == "confirm" else erasure.withdraw)(runtime(), caller, row)
            row.refresh_from_db()
            return _erasure(row)

        return _done(work, 200)


def _caller(request: Request) -> Caller:
    caller = cast("Caller", request.auth)
    if not erasure.may(caller, runtime().policies.current.policy):
        raise NotFound
    return caller


def _sent(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    data = request.data
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise ValidationError({"body": ["must be an object of texts"]})
    if unknown := sorted(set(data) - set(names)):
        raise ValidationError({name: ["unknown"] for name in unknown})
    return {name: value for name, value in data.items() if "\0" not in value}


def _done(work: Callable[[], dict[str, Any]], status: int) -> Response:
    try:
        return Response(work(), status=status)
    except Unfit as error:
        raise ValidationError({error.name: [str(error)]}) from error
    except erasure.Refused as error:
        return Response(refusal("invalid_request", str(error)), status=409)
    except RecordUnavailable as error:
        return unavailable(error)


def _hold(row: LegalHold) -> dict[str, Any]:
    return {
        "id": row.pk,
        **{name: getattr(row, name) for name in _NAMES},
        **{
            name: at and at.isoformat()
            for name in ("since", "until", "placed_at", "lifted_at")
            for at in [getattr(row, name)]
        },
        "reason": row.reason,
        "placed_by": row.placed_display,
        "lifted_by": row.lifted_display,
    }


def _at(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _erasure(row: ErasureRequest) -> dict[str, Any]:
    return {
        "id": row.pk,
        "session": row.session,
        "call_id": row.call_id,
        "reason": row.reason,
        "status": row.status,
        "asked_by": row.asked_display,
        "asked_at": row.asked_at.isoformat(),
        "ended_by": row.ended_display,
        "ended_at": _at(row.ended_at),
        "erased": row.erased,
    }
