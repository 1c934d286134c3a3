"""Consent and revocation: true on every instance when they are answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import PRIVACY
from service.api.consent_schemas import ConsentIn, ConsentsKept, ConsentsOut
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.reading import body_of, caller_of, identifier_of, open_to, origin_of, read_as, services_of
from service.api.render import (
    consents_json,
    failed,
    kept_consent_json,
    kept_revocation_json,
    one,
    respond,
    respond_answered,
    revocation_json,
)
from service.api.schemas import RevocationIn, RevocationKept, RevocationOut
from service.api.signals import changes_of_signal
from service.api.urls import key_in_url
from service.commands.carry_out import Outcome
from service.commands.queue import Render
from service.errors import FabricError, Invalid, UnknownRevocation
from service.model.changes import ConsentReceipt, RecordConsent, Revoke
from service.model.policy import Policy

router = APIRouter(prefix="/v1", tags=["consent"])
_AHEAD_MS_MAX = 300_000
SignalOutcome = Literal["read", "unreadable"] | None


def _refuse_unknown(purposes: Iterable[str], regulation: str | None, policy: Policy) -> None:
    """Raises Invalid for a purpose or regulation that the policy does not name."""
    for name in purposes:
        if name not in policy.purposes and name != policy.linking_purpose:
            raise Invalid.at("/purposes", "names a purpose that is not in the policy")
    if regulation is not None and regulation not in policy.regulations:
        raise Invalid.at("/regulation", "is not a regulation of the policy")


def _refuse_ahead(at: int | None, services: Services) -> None:
    if at is not None and at > services.now_ms() + _AHEAD_MS_MAX:
        raise Invalid.at("/at", "is more than five minutes ahead")


def consent_changes(content: object, services: Services) -> tuple[list[RecordConsent], SignalOutcome]:
    """The changes that a body of `POST /v1/consents` asks for, at least one, and how its signal was read.

    Raises Invalid.
    """
    asked = read_as(ConsentIn, content)
    policy = services.policy()
    key = identifier_of(asked.identifier, policy, "/identifier").key
    if not asked.purposes and asked.signal is None:
        raise Invalid.at("/purposes", "must name at least one purpose, where there is no signal")
    _refuse_unknown(asked.purposes, asked.regulation, policy)
    _refuse_ahead(asked.at, services)
    said = RecordConsent(
        key,
        tuple(asked.purposes.items()),
        asked.regulation,
        asked.basis,
        asked.source,
        asked.at,
        asked.expires_at,
        _notice(asked),
        asked.method,
    )
    changes = [said] if asked.purposes else []
    if asked.signal is None:
        return changes, None
    decoded = changes_of_signal(said, asked.signal.kind, asked.signal.value, policy, services.now_ms())
    return [*changes, *decoded], "unreadable" if any(change.unreadable for change in decoded) else "read"


def _notice(asked: ConsentIn) -> str | None:
    if asked.notice is None or isinstance(asked.notice, str):
        return None if asked.notice is None else orjson.dumps(asked.notice).decode()
    return orjson.dumps(asked.notice.model_dump(exclude_none=True)).decode()


def revocation_change(content: object, services: Services) -> Revoke:
    """The change that a body of `POST /v1/revocations` asks for. Raises Invalid."""
    asked = read_as(RevocationIn, content)
    policy = services.policy()
    key = identifier_of(asked.identifier, policy, "/identifier").key
    _refuse_unknown((name for name in asked.purposes if name != "*"), asked.regulation, policy)
    _refuse_ahead(asked.at, services)
    return Revoke(key, asked.scope, tuple(asked.purposes), asked.regulation, asked.source, asked.at, asked.reason)


@router.post(
    "/consents", responses=answers(ConsentsOut, 400, 401, 403, 410, 413, 415, 422, 503), openapi_extra=reads(ConsentIn)
)
async def post_consent(request: Request) -> Response:
    """Note what a person said. The newest `at` counts, in whatever order it arrives; at equal times the stricter.

    A signal that can't be read refuses every purpose that it could have spoken of, and is kept as it came.
    """
    caller = caller_of(request, PRIVACY)
    services = services_of(request)
    sent = await body_of(request)
    changes, signal = consent_changes(sent.content, services)
    render = _rendered(call_of(request.scope).request_id, signal)
    return respond_answered(await services.write_path.submit(changes, origin_of(request, caller, sent.raw), render))


def _rendered(request_id: str, signal: SignalOutcome) -> Render:
    """All records in one answer, or the first error."""

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        receipts = []
        for outcome in outcomes:
            if isinstance(outcome, FabricError):
                return failed(outcome, request_id)
            assert isinstance(outcome, ConsentReceipt)
            receipts.append(outcome)
        return 200, orjson.dumps(consents_json(receipts, signal))

    return render


@router.get("/consents", dependencies=[open_to(PRIVACY)], responses=answers(ConsentsKept, 400, 401, 403, 422, 503))
async def get_consents(
    request: Request,
    namespace: Annotated[str, Query()],
    value: Annotated[str, Query()],
    cursor: Annotated[str | None, Query(max_length=0)] = None,
) -> Response:
    """What counts now of what was said about an identifier, newest first. There is one page."""
    caller_of(request, PRIVACY)
    services = services_of(request)
    kept = await services.archive.consents_of(key_in_url(namespace, value, services.policy()))
    found = [record for record in kept if record.via is None or record.state != "granted"]
    items = [kept_consent_json(record) for record in sorted(found, key=lambda r: (-r.at, r.purpose))]
    return respond({"items": items, "next_cursor": cursor})


@router.post(
    "/revocations",
    responses=answers(RevocationOut, 400, 401, 403, 410, 413, 415, 422, 503),
    openapi_extra=reads(RevocationIn),
)
async def post_revocation(request: Request) -> Response:
    """Withdraw purposes, or being linked. The answer means: in force on every instance."""
    caller = caller_of(request, PRIVACY)
    services = services_of(request)
    sent = await body_of(request)
    change = revocation_change(sent.content, services)
    render = one(call_of(request.scope).request_id, revocation_json)
    return respond_answered(await services.write_path.submit([change], origin_of(request, caller, sent.raw), render))


@router.get("/revocations/{revocation_id}", responses=answers(RevocationKept, 401, 403, 404, 503))
async def get_revocation(request: Request, revocation_id: str) -> Response:
    """A revocation as it is kept; the person is not named."""
    caller_of(request, PRIVACY)
    kept = await services_of(request).reader.revocation(revocation_id)
    if kept is None:
        raise UnknownRevocation()
    return respond(kept_revocation_json(kept))
