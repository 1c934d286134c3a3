"""The audit: who did what, to whom, on which consent; and whether nobody has touched it since."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.auth import PRIVACY
from service.api.documentation import answers
from service.api.reading import caller_of, key_of_text, open_to, services_of
from service.api.render import respond
from service.api.schemas import AuditOut, AuditVerdictOut
from service.commands.ports import AuditFilter
from service.errors import Invalid
from service.model.times import parse_rfc3339, rfc3339

router = APIRouter(prefix="/v1", tags=["audit"])
_FIELDS = (
    "seq",
    "at",
    "actor",
    "action",
    "subject",
    "profile_id",
    "destination",
    "purpose",
    "consent",
    "outcome",
    "policy_version",
    "request_id",
    "hash",
    "prev_hash",
)


def _moment(text: str | None, name: str) -> str | None:
    """A time as entries have it. Raises Invalid."""
    if text is None:
        return None
    try:
        return rfc3339(parse_rfc3339(text))
    except ValueError:
        raise Invalid.at(f"/{name}", "must be an RFC 3339 time such as 2026-11-24T10:00:00Z") from None


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(_FIELDS), **entry}


@router.get("/audit", dependencies=[open_to(PRIVACY)], responses=answers(AuditOut, 400, 401, 403, 422, 503))
async def get_audit(
    request: Request,
    subject: Annotated[str | None, Query()] = None,
    actor: Annotated[str | None, Query(max_length=200)] = None,
    action: Annotated[str | None, Query(max_length=200)] = None,
    destination: Annotated[str | None, Query(max_length=200)] = None,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$")] = None,
) -> Response:
    """Entries, newest first. A subject is asked for by an identifier and shown as a keyed pseudonym."""
    caller_of(request, PRIVACY)
    services = services_of(request)
    pseudonym = None
    if subject is not None:
        pseudonym = services.pseudonym(key_of_text(subject, "subject", services.policy()))
    asked = AuditFilter(pseudonym, actor, action, destination, _moment(since, "from"), _moment(until, "to"))
    before = int(cursor) if cursor is not None else 2**62
    entries = await services.audit.search(asked, before, limit)
    following = str(entries[-1]["seq"]) if len(entries) == limit else None
    return respond({"items": [_shown(entry) for entry in entries], "next_cursor": following})


@router.get("/audit/verify", responses=answers(AuditVerdictOut, 401, 403, 503))
async def get_verify(request: Request) -> Response:
    """Whether the chain holds from the first entry to the last, and the first that does not fit."""
    caller_of(request, PRIVACY)
    verdict = await services_of(request).audit.verify()
    return respond({"ok": verdict.ok, "entries": verdict.entries, "first_bad_seq": verdict.first_bad_seq})
