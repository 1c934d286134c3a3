"""Lineage: from an event forwards, and back to events from what rests on them. Also who sends, and what is missing."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.auth import COLLECTOR, PRIVACY, STEWARD
from service.api.documentation import also_as, answers
from service.api.lineage_schemas import LineageOut, SendersOut
from service.api.reading import caller_of, open_to, services_of
from service.api.render import link_json, respond
from service.control.answer import name_of
from service.errors import Erased, Invalid, Unknown, UnknownDecision, UnknownEvent, UnknownLink, UnknownProfile
from service.events.mermaid import mermaid_of
from service.model.events import SenderState, event_key
from service.model.lineage import KeptEvent, Lineage
from service.model.times import rfc3339

router = APIRouter(prefix="/v1", tags=["events"])
MERMAID = "text/vnd.mermaid"
Json = dict[str, Any]


def event_json(event: KeptEvent) -> Json:
    """An event as the graph keeps it."""
    return {
        "source": event.source,
        "id": event.event_id,
        "type": event.type,
        "dataschema": f"{event.type}/{event.schema_version}",
        "occurred_at": rfc3339(event.occurred_at),
        "received_at": rfc3339(event.received_at),
        "recorded_at": rfc3339(event.recorded_at),
        "seq": event.seq,
        "granularity": event.granularity,
        "retention": event.retention,
        "flags": list(event.flags),
        "identifiers": [name_of(key) for key in event.identifiers],
        "links": list(event.links),
        "consents": list(event.consents),
        "resubmits": event.resubmits,
    }


def lineage_json(lineage: Lineage) -> Json:
    """The whole of it as JSON, the picture with it."""
    return {
        "events": [event_json(event) for event in lineage.events],
        "consents": [
            {
                "consent_id": record.consent_id,
                "identifier": name_of(key),
                "purpose": record.purpose,
                "state": record.state,
                "regulation": record.regulation or None,
                "at": rfc3339(record.at),
            }
            for key, record in lineage.consents
        ],
        "links": [link_json(link, reason) for link, reason in lineage.links],
        "profiles": [
            {"profile_id": profile_id, "identifiers": [name_of(key) for key in members]}
            for profile_id, members in lineage.profiles
        ],
        "decisions": [
            {
                "decision_id": made.decision_id,
                "profile_id": made.profile_id,
                "purpose": made.purpose,
                "outcome": made.outcome,
                "at": rfc3339(made.at),
            }
            for made in lineage.decisions
        ],
        "deliveries": [],
        "cut": lineage.cut,
        "mermaid": mermaid_of(lineage),
    }


def _answer(request: Request, lineage: Lineage) -> Response:
    if MERMAID in request.headers.get("accept", ""):
        return Response(mermaid_of(lineage), media_type=MERMAID)
    return respond(lineage_json(lineage))


def _named(request: Request, source: str, event_id: str) -> tuple[str, str]:
    """Source and id as they stand in the path; a source is often a URL, whose slashes are written as %2F."""
    raw: bytes = request.scope.get("raw_path") or b""
    parts = raw.partition(b"?")[0].split(b"/")
    if len(parts) == 6:
        return unquote(parts[3].decode("ascii", "replace")), unquote(parts[4].decode("ascii", "replace"))
    return source, event_id


@router.get(
    "/events/{source:path}/{event_id}/lineage",
    dependencies=[open_to(STEWARD, PRIVACY)],
    responses=also_as(answers(LineageOut, 400, 401, 403, 404, 410, 503), MERMAID, "The picture alone."),
)
async def get_event_lineage(request: Request, source: str, event_id: str) -> Response:
    """What an event made: consents, links, whose it is today, and what was decided about them since."""
    found = await services_of(request).events.lineage.of_event(event_key(*_named(request, source, event_id)))
    if found is None:
        raise UnknownEvent()
    if found.events[0].erased:
        raise Erased()
    return _answer(request, found)


@router.get(
    "/lineage",
    dependencies=[open_to(STEWARD, PRIVACY)],
    responses=also_as(answers(LineageOut, 401, 403, 404, 422, 503), MERMAID, "The picture alone."),
)
async def get_lineage(
    request: Request,
    link: Annotated[str | None, Query(max_length=128)] = None,
    profile: Annotated[str | None, Query(max_length=128)] = None,
    decision: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """Back to the events that a link, a profile or a decision rests on. Name one of them."""
    store = services_of(request).events.lineage
    asked = [name for name in (link, profile, decision) if name is not None]
    if len(asked) != 1:
        raise Invalid.at("", "must name one of link, profile and decision")
    missing: Unknown
    if link is not None:
        found, missing = await store.of_link(link), UnknownLink()
    elif profile is not None:
        found, missing = await store.of_profile(profile), UnknownProfile()
    else:
        found, missing = await store.of_decision(asked[0]), UnknownDecision()
    if found is None:
        raise missing
    return _answer(request, found)


def sender_json(state: SenderState, heartbeat_ms: int | None, now: int) -> Json:
    """What came of a sender."""
    silent = heartbeat_ms is not None and now - state.seen_at > heartbeat_ms
    return {
        "source": state.source,
        "sender": state.sender or None,
        "highest": state.highest if state.highest >= 0 else None,
        "seen_at": rfc3339(state.seen_at) if state.seen_at else None,
        "missing": [{"first": first, "last": last} for first, last in state.missing],
        "missing_count": sum(last - first + 1 for first, last in state.missing) + state.lost,
        "silent": silent,
    }


@router.get("/senders", dependencies=[open_to(COLLECTOR, STEWARD)], responses=answers(SendersOut, 401, 403, 422, 503))
async def get_senders(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(max_length=1_100)] = None,
) -> Response:
    """Senders that number their events, or that the policy expects to be heard of: what is missing, who is silent."""
    caller_of(request, COLLECTOR, STEWARD)
    services = services_of(request)
    beats = services.policy().events.heartbeats
    found = await services.events.reader.senders(cursor or "", limit + 1)
    shown = found[:limit]
    if cursor is None:
        heard = {state.source for state in await services.events.reader.senders_of(sorted(beats))}
        shown = [*(SenderState(source, "", -1, 0) for source in sorted(beats) if source not in heard), *shown]
    following = f"{shown[-1].source}\n{shown[-1].sender}" if len(found) > limit else None
    now = services.now_ms()
    items = [sender_json(state, beats.get(state.source), now) for state in shown]
    return respond({"items": items, "next_cursor": following})
