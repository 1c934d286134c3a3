"""What stewards read: why, what was, and what is around a profile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from service.api.asgi import call_of
from service.api.auth import ACTIVATION, STEWARD
from service.api.documentation import also_as, answers
from service.api.links_why import whys
from service.api.reading import caller_of, key_of_text, open_to, services_of
from service.api.render import (
    Json,
    assertion_json,
    event_json,
    grouping_json,
    kept_link_json,
    link_json,
    merge_link_json,
    respond,
)
from service.api.schemas import (
    AssertionsOut,
    ChangesOut,
    ExplanationOut,
    GraphOut,
    HistoryOut,
    HouseholdOut,
)
from service.api.urls import key_in_url
from service.commands.explain import Explanation
from service.commands.feed import FEED_LIMIT_MAX, FEED_WAIT_S_MAX
from service.commands.history import history
from service.commands.ports import KeptMerge
from service.control.answer import name_of
from service.errors import Invalid, UnknownIdentifier
from service.model.identifiers import LinkId, ProfileId
from service.model.times import rfc3339

router = APIRouter(prefix="/v1", tags=["stewardship"])
_READS = (400, 401, 403, 404, 422, 503)
_ASSERTIONS_MAX = 1_000


def _explained(found: Explanation, why: Mapping[LinkId, Json]) -> dict[str, Any]:
    return {
        "same_profile": found.same_profile,
        "confidence": found.confidence,
        "path": [
            merge_link_json(step) if isinstance(step, KeptMerge) else link_json(step, None, why.get(step.link_id))
            for step in found.path
        ],
        "blocked_by": [
            {
                "link": link_json(b.link, b.reason, why.get(b.link.link_id)),
                "reason": b.reason,
                "conflicts_with": list(b.conflicts_with),
            }
            for b in found.blocked_by
        ],
        "would_join": [{"action": s.action, "ids": list(s.ids), "says": s.says} for s in found.would_join],
    }


@router.get("/explain", dependencies=[open_to(STEWARD)], responses=answers(ExplanationOut, *_READS))
async def get_explain(request: Request, a: Annotated[str, Query()], b: Annotated[str, Query()]) -> Response:
    """Why two identifiers are or are not one person, and the smallest change that would join them."""
    caller_of(request, STEWARD)
    services = services_of(request)
    policy = services.policy()
    one, other = key_of_text(a, "a", policy), key_of_text(b, "b", policy)
    if one == other:
        raise Invalid.at("/b", "is the same identifier")
    found = await services.explainer.explain(one, other)
    steps = [step for step in found.path if not isinstance(step, KeptMerge)]
    why = await whys(services, [*steps, *(block.link for block in found.blocked_by)])
    return respond(_explained(found, why))


@router.get("/profiles/{profile_id}/graph", dependencies=[open_to(STEWARD)], responses=answers(GraphOut, *_READS))
async def get_graph(request: Request, profile_id: str, as_of: Annotated[str | None, Query()] = None) -> Response:
    """The profile's identifiers and every link at them, withheld ones with their reason."""
    caller_of(request, STEWARD)
    services = services_of(request)
    around = await services.graph_view.around(ProfileId(profile_id), services.time_of(as_of))
    nodes = [
        {**name_of(node.key), "kind": services.policy().namespace_of_key(node.key).kind, "profile_id": node.profile_id}
        for node in around.nodes
    ]
    why = await whys(services, [edge.link for edge in around.edges if not isinstance(edge, KeptMerge)])
    edges = [
        merge_link_json(edge) if isinstance(edge, KeptMerge) else kept_link_json(edge, why.get(edge.link.link_id))
        for edge in around.edges
    ]
    return respond({"profile_id": around.profile_id, "nodes": nodes, "edges": edges, "truncated": around.truncated})


@router.get("/profiles/{profile_id}/history", dependencies=[open_to(STEWARD)], responses=answers(HistoryOut, *_READS))
async def get_history(
    request: Request,
    profile_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$")] = None,
) -> Response:
    """Every change of the profile, newest first: when, who, why, before and after."""
    caller_of(request, STEWARD)
    before = int(cursor) if cursor is not None else 2**62
    items, following = await history(services_of(request).archive, ProfileId(profile_id), limit, before)
    return respond(
        {
            "items": [
                {
                    "at": rfc3339(item.at),
                    "actor": item.actor,
                    "action": item.action,
                    "reason": item.reason,
                    "types": list(item.types),
                    "before": [grouping_json(grouping) for grouping in item.before],
                    "after": [grouping_json(grouping) for grouping in item.after],
                }
                for item in items
            ],
            "next_cursor": None if following is None else str(following),
        }
    )


@router.get("/assertions", dependencies=[open_to(STEWARD)], responses=answers(AssertionsOut, *_READS))
async def get_assertions(request: Request, identifier: Annotated[str, Query()]) -> Response:
    """Assertions that name an identifier, newest first; undone ones are told as such."""
    caller_of(request, STEWARD)
    services = services_of(request)
    key = key_of_text(identifier, "identifier", services.policy())
    found = await services.archive.assertions_of(key, _ASSERTIONS_MAX)
    return respond({"items": [assertion_json(assertion) for assertion in found], "next_cursor": None})


@router.get("/households/{namespace}/{value}", responses=answers(HouseholdOut, *_READS))
async def get_household(request: Request, namespace: str, value: str) -> Response:
    """The profiles that a household groups now. It merges none of them."""
    caller_of(request, STEWARD)
    services = services_of(request)
    policy = await services.policies.current()
    key = key_in_url(namespace, value, policy)
    grouped = policy.namespace_of_key(key).is_household
    profiles = await services.timely.household(key) if grouped else None
    if profiles is None:
        raise UnknownIdentifier()
    return respond({"profiles": list(profiles)})


@router.get(
    "/changes",
    tags=["feed"],
    dependencies=[open_to(ACTIVATION, STEWARD)],
    responses=also_as(answers(ChangesOut, *_READS), "application/x-ndjson", "one event a line"),
)
async def get_changes(
    request: Request,
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=FEED_LIMIT_MAX)] = 100,
    wait: Annotated[float, Query(ge=0, le=FEED_WAIT_S_MAX)] = 0,
) -> Response:
    """The change feed in commit order. Go on from `next`; nothing is missed. With `Accept: application/x-ndjson` a
    stream, one event a line, that ends after `wait` seconds.
    """
    caller_of(request, ACTIVATION, STEWARD)
    feed = services_of(request).feed
    accept = call_of(request.scope).headers.get(b"accept", b"")
    if b"application/x-ndjson" in accept:

        async def lines() -> AsyncIterator[bytes]:
            async for event in feed.stream(after, wait, request.is_disconnected):
                yield orjson.dumps(event_json(event)) + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")
    page = await feed.page(after, limit, wait, request.is_disconnected)
    return respond({"items": [event_json(event) for event in page.items], "next": page.next})
