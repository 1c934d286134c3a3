"""Signed webhooks of consent platforms: verified, translated, and in force on every instance when they are answered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.asgi import call_of, read_body
from service.api.body import parse_json
from service.api.context import Services
from service.api.documentation import answers, signed
from service.api.reading import services_of
from service.api.render import failed, respond
from service.api.schemas import WebhookOut
from service.api.vendor_webhooks import changes_of_vendor, delivered_by
from service.api.webhook_signature import STANDARD
from service.api.webhooks import PROVIDERS, ConsentRevokedIn, ConsentUpdatedIn, PersonErasedIn, changes_of
from service.commands.carry_out import Outcome
from service.commands.queue import Render
from service.commands.unread import UnreadWebhook
from service.errors import (
    FabricError,
    IdempotencyKeyReused,
    Invalid,
    MalformedJson,
    NotYetEnforced,
    UnknownProvider,
    UnreadableWebhook,
    WebhookIdReused,
)
from service.model.changes import Origin, Remembered
from service.telemetry import METRICS

router = APIRouter(prefix="/v1", tags=["consent"])
_BODY_BYTES_MAX = 1 << 20
_APPLIED = {"status": "applied", "enforced": True}
_DUPLICATE = {"status": "duplicate", "enforced": True}


@router.post(
    "/webhooks/consent/{provider}",
    responses=answers(WebhookOut, 400, 401, 404, 409, 413, 422, 503),
    openapi_extra=signed(ConsentUpdatedIn, ConsentRevokedIn, PersonErasedIn),
)
async def post_webhook(request: Request, provider: str) -> Response:
    """Take a consent platform's webhook. 200 means: in force on every instance, now or by an earlier delivery.

    The body is `standard`'s; the bodies of other providers are as these document them.
    """
    services = services_of(request)
    if provider not in PROVIDERS or not services.webhook_keys.has(provider):
        raise UnknownProvider()
    result = "internal_error"
    try:
        answer = await _take(request, services, provider)
        result = str(answer["status"])
    except FabricError as error:
        result = error.code
        raise
    finally:
        METRICS.webhooks.labels(provider, result).inc()
    return respond(answer)


async def _take(request: Request, services: Services, provider: str) -> dict[str, object]:
    call = call_of(request.scope)
    raw = await read_body(request.receive, min(_BODY_BYTES_MAX, services.body_bytes_max))
    webhook_id = services.webhook_keys.verify(provider, call.headers, raw, services.now_ms())
    call.caller = f"webhook:{provider}"
    await services.policies.current()
    webhook_id = webhook_id or f"sha256:{hashlib.sha256(raw).hexdigest()}"  # until the payload names one
    try:
        content = parse_json(raw, "application/json", limit_bytes=_BODY_BYTES_MAX)
        if provider == STANDARD:
            changes = changes_of(provider, content, services.policy(), services.now_ms())
        else:
            delivered = delivered_by(provider, content)
            webhook_id = delivered.message_id or webhook_id
            changes = changes_of_vendor(provider, delivered, services.policy(), services.now_ms())
    except (Invalid, MalformedJson) as error:
        remembered = _remembered(services, provider, webhook_id, raw)
        return await _keep(services, provider, webhook_id, remembered, raw, error)
    if not changes:
        return _APPLIED
    remembered = _remembered(services, provider, webhook_id, raw)
    origin = Origin(call.caller, call.request_id, remembered)
    try:
        answered = await services.write_path.submit(changes, origin, _rendered(call.request_id))
    except IdempotencyKeyReused:
        raise WebhookIdReused() from None
    except NotYetEnforced:
        raise NotYetEnforced(
            "The change is stored and not yet in force everywhere. Send the webhook again under the same id."
        ) from None
    if answered.status != 200:
        raise next(outcome for outcome in answered.outcomes if isinstance(outcome, FabricError))
    return _DUPLICATE if answered.replayed else _APPLIED


def _remembered(services: Services, provider: str, webhook_id: str, raw: bytes) -> Remembered:
    """Under what the answer is kept. Both are keyed digests: neither the id nor the body can be guessed from them."""
    key = services.pseudonym(f"webhook\0{provider}\0{webhook_id}")
    return Remembered(key, services.pseudonym(f"webhook body\0{hashlib.sha256(raw).hexdigest()}"))


async def _keep(
    services: Services, provider: str, webhook_id: str, remembered: Remembered, raw: bytes, error: FabricError
) -> dict[str, object]:
    """Keep what can't be read. Raises what it is refused with, unless its id was answered before."""
    refusal = error
    if not isinstance(error, UnreadableWebhook):
        refusal = UnreadableWebhook(errors=error.pointed)
    unread = UnreadWebhook(
        key=services.pseudonym(f"unread\0{remembered.key}\0{remembered.fingerprint}"),
        answer_key=remembered.key,
        provider=provider,
        webhook_id=webhook_id,
        received_at=services.now_ms(),
        code=refusal.code,
        why=tuple(f"{place or '/'} {message}" for place, message in refusal.errors),
        digest=remembered.fingerprint,
        body=raw,
    )
    answered = await services.unread.keep(unread)
    if answered is None:
        raise refusal
    if answered != remembered.fingerprint:
        raise WebhookIdReused()
    return _DUPLICATE  # it was read when it came first; the policy has changed since


def _rendered(request_id: str) -> Render:
    """What is stored and answered: that all of it is applied, or the first error, which is not stored."""

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        for outcome in outcomes:
            if isinstance(outcome, FabricError):
                return failed(outcome, request_id)
        return 200, orjson.dumps(_APPLIED)

    return render
