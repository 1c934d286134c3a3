"""Replays: history applied once more under today's rules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.auth import ADMIN
from service.api.documentation import answers, reads, taken
from service.api.reading import body_of, caller_of, open_to, origin_of, read_as, services_of
from service.api.render import respond
from service.api.replay_schemas import ReplayIn, ReplayOut, ReplaysOut
from service.clock import random_token
from service.errors import Invalid, UnknownReplay
from service.model.replays import Replay
from service.model.times import rfc3339

router = APIRouter(prefix="/v1/replays", tags=["events"])
_NEWEST = 2**53


def replay_json(replay: Replay) -> dict[str, Any]:
    """A replay as it is shown."""
    done = sum(count for name, count in replay.counts.items() if ":" not in name and name != "links_retracted")
    return {
        "replay_id": replay.replay_id,
        "state": replay.state,
        "from": None if replay.since is None else rfc3339(replay.since),
        "to": None if replay.until is None else rfc3339(replay.until),
        "types": list(replay.types),
        "schema_versions": list(replay.versions),
        "correct": replay.corrects,
        "dry_run": replay.dry_run,
        "asked_at": rfc3339(replay.asked_at),
        "ended_at": None if replay.ended_at is None else rfc3339(replay.ended_at),
        "progress": {"done": done, "total": replay.total},
        "counts": dict(replay.counts),
        "report": None if replay.report is None else orjson.loads(replay.report),
        "reason": replay.reason,
    }


@router.post(
    "",
    status_code=202,
    responses=taken(ReplayOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(ReplayIn),
)
async def post_replay(request: Request) -> Response:
    """Apply events once more: each keeps its id and times, so what was right stays as it is. Carried out in the
    background, one after another; its progress is under its id.
    """
    caller = caller_of(request, ADMIN)
    sent = await body_of(request)
    asked = read_as(ReplayIn, sent.content)
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        raise Invalid.at("/to", "must be later than `from`")
    remembered = origin_of(request, caller, sent.raw).remembered
    replay = Replay(
        f"rpl_{remembered.key[:26] if remembered else random_token(15)}",
        asked.since,
        asked.until,
        tuple(asked.types),
        tuple(asked.schema_versions),
        asked.dry_run,
        asked.correct,
        caller.name,
        0,
        remembered.fingerprint if remembered else "",
    )
    return respond(replay_json(await services_of(request).replays.begin(replay)), 202)


@router.get("", dependencies=[open_to(ADMIN)], responses=answers(ReplaysOut, 401, 403, 422, 503))
async def get_replays(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[int | None, Query(ge=0, le=_NEWEST)] = None,
) -> Response:
    """All replays, the newest first."""
    found = await services_of(request).replays.store.newest(cursor or _NEWEST, limit + 1)
    following = str(found[limit - 1].asked_at) if len(found) > limit else None
    return respond({"items": [replay_json(replay) for replay in found[:limit]], "next_cursor": following})


@router.get("/{replay_id}", responses=answers(ReplayOut, 401, 403, 404, 503))
async def get_replay(request: Request, replay_id: str) -> Response:
    """How far a replay has come, and what came of it."""
    caller_of(request, ADMIN)
    found = await services_of(request).replays.store.find(replay_id)
    if found is None:
        raise UnknownReplay()
    return respond(replay_json(found))


async def _act(request: Request, replay_id: str, act: Literal["pause", "resume", "cancel"]) -> Response:
    caller = caller_of(request, ADMIN)
    found = await services_of(request).replays.act(replay_id, act, caller.name)
    if found is None:
        raise UnknownReplay()
    return respond(replay_json(found))


@router.post("/{replay_id}/pause", responses=answers(ReplayOut, 401, 403, 404, 503))
async def post_pause(request: Request, replay_id: str) -> Response:
    """Stop after the batch under way, until it is resumed."""
    return await _act(request, replay_id, "pause")


@router.post("/{replay_id}/resume", responses=answers(ReplayOut, 401, 403, 404, 503))
async def post_resume(request: Request, replay_id: str) -> Response:
    """Go on with a paused one."""
    return await _act(request, replay_id, "resume")


@router.post("/{replay_id}/cancel", responses=answers(ReplayOut, 401, 403, 404, 503))
async def post_cancel(request: Request, replay_id: str) -> Response:
    """End it for good after the batch under way; what it has applied stays."""
    return await _act(request, replay_id, "cancel")
