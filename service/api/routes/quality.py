"""Quality of events, by source and type."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.auth import COLLECTOR, STEWARD
from service.api.documentation import answers
from service.api.quality_schemas import QualityOut
from service.api.reading import caller_of, open_to, services_of
from service.api.render import respond
from service.commands.quality import StreamQuality
from service.errors import Invalid
from service.model.quality import HOUR_MS
from service.model.times import parse_rfc3339, rfc3339

router = APIRouter(prefix="/v1", tags=["events"])
_DAYS_MAX = 35
_GAPS_MAX = 1_000


def _time(text: str | None, default: int, name: str) -> int:
    if text is None:
        return default
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise Invalid.at(f"/{name}", "must be an RFC 3339 time such as 2026-11-24T10:00:00Z") from None


def _mean(total: int, count: int) -> float | None:
    return round(total / count / 1_000, 3) if count else None


def stream_json(found: StreamQuality, minutes: float) -> dict[str, Any]:
    """A stream as it is shown."""
    tally = found.tally
    fields = [(key.rpartition(" ")[0], key.rpartition(" ")[2], count) for key, count in sorted(tally.fields.items())]
    return {
        **found.stream._asdict(),
        "received": tally.received,
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "quarantined": tally.quarantined,
        "rate": round(tally.received / minutes, 3),
        "violation_share": round(tally.quarantined / tally.received, 4) if tally.received else 0.0,
        "violations": dict(sorted(tally.violations.items())),
        "no_identifier": tally.no_identifier,
        "no_consent": tally.no_consent,
        "late": tally.late,
        "skewed": tally.skewed,
        "gaps_filled": tally.gaps_filled,
        "lag_seconds": {
            "received_mean": _mean(tally.lag_ms, tally.accepted),
            "received_max": tally.lag_ms_max / 1_000 if tally.accepted else None,
            "recorded_mean": _mean(tally.record_ms, tally.accepted),
        },
        "fields": [{"field": name, "type": kind, "events": count} for name, kind, count in fields],
        "drift": [drift._asdict() for drift in found.drift],
    }


@router.get(
    "/quality", dependencies=[open_to(COLLECTOR, STEWARD)], responses=answers(QualityOut, 400, 401, 403, 422, 503)
)
async def get_quality(
    request: Request,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
) -> Response:
    """What came of events in a time, whole hours; the last hour where nothing is said. Each stream is compared with as
    long a time before: a field that is new, gone, renamed or of another type, and a rise of violations, is named.
    """
    caller_of(request, COLLECTOR, STEWARD)
    services = services_of(request)
    last = _time(until, services.now_ms(), "to")
    first = _time(since, last - HOUR_MS, "from")
    first, last = first - first % HOUR_MS, -(-last // HOUR_MS) * HOUR_MS
    if not 0 < last - first <= _DAYS_MAX * 24 * HOUR_MS:
        raise Invalid.at("/to", f"must be later than `from`, by {_DAYS_MAX} days at most")
    streams = await services.quality.between(first, last)
    gaps = [
        {
            "source": sender.source,
            "sender": sender.sender,
            "seen_at": rfc3339(sender.seen_at),
            "missing": [list(numbers) for numbers in sender.missing],
            "lost": sender.lost,
        }
        for sender in await services.quality.gaps(_GAPS_MAX)
    ]
    minutes = (last - first) / 60_000
    shown = [stream_json(found, minutes) for found in streams if found.tally.received or found.drift]
    return respond({"from": rfc3339(first), "to": rfc3339(last), "streams": shown, "gaps": gaps})
