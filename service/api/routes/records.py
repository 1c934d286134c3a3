"""Records and matching: taken in, withdrawn, scored, searched; models trained and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ADMIN, COLLECTOR, STEWARD
from service.api.batches import batch_of, read_item
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    not_ahead,
    open_to,
    origin_of,
    read_as,
    services_of,
)
from service.api.record_render import field_json, model_json, record_result
from service.api.record_schemas import (
    CandidatesOut,
    ModelOut,
    ModelsOut,
    RecordIn,
    RecordOut,
    RecordResults,
    RecordsIn,
    ScoreIn,
    ScoreOut,
    SearchIn,
    TrainIn,
    TrainingOut,
    WithdrawnOut,
)
from service.api.render import one, respond, respond_answered
from service.api.schemas import Label
from service.api.urls import key_in_url
from service.commands.carry_out import Outcome
from service.commands.training import agreement_of, built_in_model
from service.control.answer import name_of
from service.errors import FieldError, Invalid, UnknownModel, UnknownRecord
from service.matching.model import BUILT_IN
from service.model.matching_models import BeginTraining, ModelReceipt
from service.model.records import ObserveRecord, RecordReceipt, WithdrawRecord
from service.model.times import rfc3339

router = APIRouter(prefix="/v1", tags=["matching"])
_RECORD = TypeAdapter(RecordIn)
_READS = (400, 401, 403, 404, 422, 503)
_TRAINS = answers(TrainingOut, 400, 401, 403, 410, 413, 415, 422, 503)
_ACCEPTED = {202: _TRAINS.pop(200), **_TRAINS}
_WRITES = (400, 401, 403, 410, 413, 415, 422, 503)


def _change_of(sent: RecordIn, services: Services) -> ObserveRecord:
    """The change that a record asks for, encoded. Raises Invalid with pointers inside the record."""
    policy = services.policy()
    key = identifier_of(sent.identifier, policy, "/identifier").key
    if policy.namespace_of_key(key).is_household:
        raise Invalid.at("/identifier/namespace", "is a household's, which has no records")
    at, now = sent.observed_at, services.now_ms()
    not_ahead(at, now)
    return services.matching.records.encode(key, sent.source, now if at is None else at, sent.attributes.told())


def read_record(item: object, services: Services, place: str) -> ObserveRecord | tuple[FieldError, ...]:
    """The change that one item asks for, or what is wrong with it, with pointers from `place` on."""
    return read_item(_RECORD, item, place, lambda sent: _change_of(sent, services))


@router.post("/records", responses=answers(RecordResults, *_WRITES), openapi_extra=reads(RecordIn, RecordsIn))
async def post_records(request: Request) -> Response:
    """Send one record, or up to 1,000: what a source knows of an identifier. It is encoded before it is stored, and
    compared; who is one person by it is in `matches`.
    """
    caller = caller_of(request, COLLECTOR)
    services = services_of(request)
    sent = await body_of(request)
    services.matching.records.matching()
    batch = await asyncio.to_thread(  # encoding a thousand takes a while
        batch_of, sent.content, "records", lambda item, place: read_record(item, services, place)
    )

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        return 200, orjson.dumps({"results": [record_result(entry) for entry in batch.answered(outcomes)]})

    return respond_answered(
        await services.write_path.submit(batch.changes, origin_of(request, caller, sent.raw), render)
    )


@router.get("/records", dependencies=[open_to(COLLECTOR)], responses=answers(RecordOut, *_READS))
async def get_record(
    request: Request,
    namespace: Annotated[str, Query()],
    value: Annotated[str, Query()],
    source: Annotated[Label, Query()],
) -> Response:
    """Which fields a source's record has, and how it is kept. Never what is in them."""
    caller_of(request, COLLECTOR)
    services = services_of(request)
    key = key_in_url(namespace, value, services.policy())
    found = await services.matching.records.record(key, source)
    if found is None:
        raise UnknownRecord()
    shown = {"source": found.source, "fields": found.fields, "observed_at": rfc3339(found.observed_at)}
    return respond({"identifier": name_of(key), **shown, "keep": found.keep})


@router.delete("/records", dependencies=[open_to(COLLECTOR)], responses=answers(WithdrawnOut, *_READS))
async def delete_record(
    request: Request,
    namespace: Annotated[str, Query()],
    value: Annotated[str, Query()],
    source: Annotated[Label, Query()],
) -> Response:
    """Withdraw a record: everything is as if it had never been sent. It may be sent again."""
    caller = caller_of(request, COLLECTOR)
    services = services_of(request)
    key = key_in_url(namespace, value, services.policy())

    def shape(receipt: RecordReceipt) -> dict[str, Any]:
        return {"withdrawn": True, "profile_id": receipt.profile_id}

    render = one(call_of(request.scope).request_id, shape)
    change = WithdrawRecord(key, source)
    return respond_answered(await services.write_path.submit([change], origin_of(request, caller), render))


@router.post(
    "/matching/score",
    responses=answers(ScoreOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(ScoreIn, idempotent=False),
)
async def post_score(request: Request) -> Response:
    """How likely two records are one person's, and which fields say so. Nothing is stored."""
    caller_of(request, STEWARD)
    services = services_of(request)
    asked = read_as(ScoreIn, (await body_of(request)).content)
    scored = services.matching.records.score(asked.a.attributes.told(), asked.b.attributes.told())
    return respond(
        {
            "confidence": round(scored.confidence, 6),
            "classes": scored.classes,
            "fields": [field_json(field) for field in scored.fields],
            "model": services.matching.records.matching().model,
        }
    )


@router.post(
    "/matching/search",
    responses=answers(CandidatesOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(SearchIn, idempotent=False),
)
async def post_search(request: Request) -> Response:
    """Whose records are like these, the likest first. Nothing is stored."""
    caller_of(request, STEWARD)
    asked = read_as(SearchIn, (await body_of(request)).content)
    found = await services_of(request).matching.records.search(asked.attributes.told(), asked.limit)
    return respond(
        {
            "candidates": [
                {"identifier": name_of(one.identifier), "profile_id": one.profile_id, "confidence": one.confidence}
                for one in found
            ]
        }
    )


@router.post(
    "/matching/models",
    responses=_ACCEPTED,
    openapi_extra=reads(TrainIn),
    status_code=202,
)
async def post_model(request: Request) -> Response:
    """Have a model trained on the records there are. It is used once a policy names it."""
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(TrainIn, sent.content)
    name, _, version = BUILT_IN.partition("/")

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        status, body = one(call_of(request.scope).request_id, _training)(outcomes)
        return 202 if status == 200 else status, body

    change = BeginTraining(asked.name, asked.sample, int(version) if asked.name == name else 0)
    answered = await services.write_path.submit([change], origin_of(request, caller, sent.raw), render)
    services.matching.trainer.wake()
    return respond_answered(answered)


def _training(receipt: ModelReceipt) -> dict[str, Any]:
    return {"model": receipt.kept.model, "state": receipt.kept.state}


@router.get("/matching/models", dependencies=[open_to(ADMIN)], responses=answers(ModelsOut, 400, 401, 403, 422, 503))
async def get_models(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """All models, ready or not."""
    caller_of(request, ADMIN)
    services = services_of(request)
    kept = list(await services.matching.models.store.models(cursor or "", limit))
    matching = services.policy().matching
    shown = [*([] if cursor else [built_in_model()]), *kept]
    items = [
        {
            "model": model.model,
            "name": model.name,
            "version": model.version,
            "state": model.state,
            "reason": model.reason,
            "in_force": matching is not None and matching.model == model.model,
        }
        for model in shown
    ]
    return respond({"items": items, "next_cursor": kept[-1].model if len(kept) == limit else None})


@router.get(
    "/matching/models/{name}/{version}",
    dependencies=[open_to(ADMIN)],
    responses=answers(ModelOut, 400, 401, 403, 404, 422, 503),
)
async def get_model(request: Request, name: str, version: str) -> Response:
    """A model with its figures, or how far its training is, or why there is none."""
    caller_of(request, ADMIN)
    services = services_of(request)
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10):
        raise UnknownModel()
    kept = await services.matching.models.kept(name, int(version))
    model = await services.matching.models.ready(kept.model)
    agreed = None if model is None else await agreement_of(model, services.matching.records.reader)
    return respond(model_json(kept, model, agreed, services.matching.trainer.progress(kept.model)))
