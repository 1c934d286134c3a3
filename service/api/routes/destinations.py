"""Destinations that the service serves itself: how they are doing, paused and let go on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ADMIN
from service.api.delivery_schemas import DestinationsOut, DestinationStateOut, ReasonIn
from service.api.documentation import answers, reads
from service.api.reading import body_of, caller_of, origin_of, read_as, services_of
from service.api.render import one, respond, respond_answered
from service.commands.reconciling import rule_of
from service.model.delivery import DestinationState
from service.model.delivery_changes import SetDestination
from service.model.times import rfc3339

router = APIRouter(prefix="/v1/destinations", tags=["deliveries"])


def _state(found: DestinationState, now: int) -> str:
    return "ok" if found.state == "throttled" and found.until <= now else found.state


@router.get("", responses=answers(DestinationsOut, 401, 403, 503))
async def get_destinations(request: Request) -> Response:
    """All of them, with what their receivers can do, and how many of their deliveries became what."""
    caller_of(request, ADMIN)
    services = services_of(request)
    policy = await services.policies.current()
    parts, now = services.delivery, services.now_ms()
    rules = {name: d.delivery for name, d in sorted(policy.destinations.items()) if d.delivery is not None}
    states, names = await parts.deliveries.states(), list(rules)
    counts, pending = await parts.deliveries.counts(names), await parts.deliveries.pending(names)
    items = []
    for name, rule in rules.items():
        state = states.get(name) or DestinationState(name)
        waiting, oldest = pending.get(name, (0, None))
        items.append(
            {
                "name": name,
                "adapter": rule.adapter,
                "manifest": parts.previews.manifest(rule.adapter),
                "mode": rule.mode,
                "share": rule.share,
                "state": _state(state, now),
                "reason": state.reason,
                "pending": waiting,
                "oldest_pending_at": None if oldest is None else rfc3339(oldest),
                "counts": counts.get(name, {}),
            }
        )
    return respond({"items": items, "next_cursor": None})


async def _set(request: Request, name: str, pause: bool) -> Response:
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(ReasonIn, sent.content)
    rule_of(services.policy(), name)

    def shape(receipt: object) -> dict[str, object]:
        state = getattr(receipt, "state", None)
        assert isinstance(state, DestinationState)
        return {"name": name, "state": state.state}

    render = one(call_of(request.scope).request_id, shape)
    change = SetDestination(name, pause, asked.reason)
    return respond_answered(await services.write_path.submit([change], origin_of(request, caller, sent.raw), render))


@router.post(
    "/{name}/pause",
    responses=answers(DestinationStateOut, 400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=reads(ReasonIn),
)
async def post_pause(request: Request, name: str) -> Response:
    """Send nothing there until it is resumed; what comes meanwhile waits."""
    return await _set(request, name, True)


@router.post(
    "/{name}/resume",
    responses=answers(DestinationStateOut, 400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=reads(ReasonIn),
)
async def post_resume(request: Request, name: str) -> Response:
    """Send again: after a pause, or once what was wrong with its setup is mended."""
    return await _set(request, name, False)
