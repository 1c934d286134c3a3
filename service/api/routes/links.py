"""Links: sent, read, retracted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import COLLECTOR, STEWARD, Caller
from service.api.batches import batch_of, read_item
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.links_why import whys
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    not_ahead,
    open_to,
    origin_of,
    services_of,
)
from service.api.render import link_json, link_result, one, respond, respond_answered
from service.api.schemas import FreeText, LinkIn, LinkOut, LinkResults, LinksIn
from service.api.values import refuse_personal
from service.commands.carry_out import Outcome
from service.errors import FieldError, Invalid, UnknownLink
from service.model.changes import ObserveLink, RetractLink
from service.model.identifiers import LinkId
from service.model.records import SOURCE

router = APIRouter(prefix="/v1", tags=["evidence"])
_LINK = TypeAdapter(LinkIn)
_EVIDENCE_BYTES_MAX = 4_096


def _evidence_of(sent: LinkIn) -> str | None:
    if sent.evidence is None:
        return None
    text = orjson.dumps(sent.evidence, option=orjson.OPT_SORT_KEYS)
    if len(text) > _EVIDENCE_BYTES_MAX:
        raise Invalid.at("/evidence", f"is larger than {_EVIDENCE_BYTES_MAX} bytes")
    return text.decode()


def _change_of(sent: LinkIn, services: Services) -> ObserveLink:
    """The change that a link asks for. Raises Invalid with pointers inside the link."""
    policy = services.policy()
    a = identifier_of(sent.a, policy, "/a").key
    b = identifier_of(sent.b, policy, "/b").key
    if a == b:
        raise Invalid.at("/b", "is the same identifier as the other end")
    if sent.source == SOURCE:
        raise Invalid.at("/source", "is the service's own: such links follow from records")
    not_ahead(sent.observed_at, services.now_ms())
    confidence = sent.confidence if sent.confidence is not None else policy.confidence_of_source(sent.source)
    return ObserveLink(
        services.link_ids(sent.source, sent.rule, sent.method, a, b),
        a,
        b,
        sent.method,
        confidence,
        sent.source,
        sent.rule,
        sent.rule_version,
        sent.observed_at,
        sent.expires_at,
        _evidence_of(sent),
        assumed=sent.confidence is None,
    )


def read_link(item: object, services: Services, place: str) -> ObserveLink | tuple[FieldError, ...]:
    """The change that one item asks for, or what is wrong with it, with pointers from `place` on."""
    return read_item(_LINK, item, place, lambda sent: _change_of(sent, services))


@router.post(
    "/links",
    responses=answers(LinkResults, 400, 401, 403, 410, 413, 415, 422, 503),
    openapi_extra=reads(LinkIn, LinksIn),
)
async def post_links(request: Request) -> Response:
    """Send one link, or up to 1,000. Each is answered in its place; one that is wrong costs only itself."""
    caller: Caller = caller_of(request, COLLECTOR)
    services = services_of(request)
    sent = await body_of(request)
    batch = batch_of(sent.content, "links", lambda item, place: read_link(item, services, place))

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        return 200, orjson.dumps({"results": [link_result(entry) for entry in batch.answered(outcomes)]})

    return respond_answered(
        await services.write_path.submit(batch.changes, origin_of(request, caller, sent.raw), render)
    )


@router.get("/links/{link_id}", responses=answers(LinkOut, 401, 403, 404, 503))
async def get_link(request: Request, link_id: str) -> Response:
    """A link with its provenance, and whether it is withheld and why."""
    caller_of(request, COLLECTOR, STEWARD)
    services = services_of(request)
    found = await services.reader.link(LinkId(link_id))
    if found is None:
        raise UnknownLink()
    why = await whys(services, [found[0]])
    return respond(link_json(*found, why.get(found[0].link_id)))


@router.delete(
    "/links/{link_id}", dependencies=[open_to(COLLECTOR, STEWARD)], responses=answers(LinkOut, 401, 403, 404, 503)
)
async def delete_link(request: Request, link_id: str, reason: Annotated[FreeText, Query()] = "") -> Response:
    """Retract a link. It stays in history, and comes back only with a newer observation."""
    caller = caller_of(request, COLLECTOR, STEWARD)
    refuse_personal(False, reason)
    services = services_of(request)
    change = RetractLink(LinkId(link_id), reason)
    render = one(call_of(request.scope).request_id, lambda receipt: {"link_id": receipt.link_id})
    answered = await services.write_path.submit([change], origin_of(request, caller), render)
    if answered.status != 200:
        return respond_answered(answered)
    found = await services.reader.link(LinkId(link_id))
    if found is None:
        raise UnknownLink()
    return respond(link_json(*found))
