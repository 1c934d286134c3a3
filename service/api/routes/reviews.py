"""The review queue: what a person should decide, the most worthwhile first."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import STEWARD
from service.api.documentation import answers, reads
from service.api.links_why import whys
from service.api.reading import body_of, caller_of, key_of_text, open_to, origin_of, read_as, services_of
from service.api.render import Json, link_json, one, respond, respond_answered, steward_json
from service.api.schemas import ReviewIn, ReviewsOut, VerdictOut
from service.commands.ports import ReviewItem
from service.errors import Invalid, UnknownReview
from service.model.changes import Judge, StewardReceipt
from service.model.evidence import Verdict
from service.model.identifiers import LinkId

router = APIRouter(prefix="/v1", tags=["stewardship"])
_VERDICTS: dict[str, Verdict] = {"same": "same", "different": "different", "dismiss": "dismissed"}
_AT_ONE_MAX = 1_000
_TOP = 1e300


def _review_id(link_id: str) -> str:
    return "rvw_" + link_id.removeprefix("lnk_")


def _item(item: ReviewItem, why: Json | None) -> dict[str, Any]:
    return {
        "review_id": _review_id(item.link.link_id),
        "status": item.link.reviewed or "open",
        "reason": item.link.inactive or item.withheld,
        "worth": item.worth,
        "link": link_json(item.link, item.withheld, why),
    }


def _place(cursor: str | None) -> tuple[float, str]:
    """Where a page begins: the worth and id of the last item before it. Raises Invalid."""
    if cursor is None:
        return _TOP, ""
    try:
        worth, _, after = base64.urlsafe_b64decode(cursor).decode().partition("|")
        return float(worth), after
    except (ValueError, binascii.Error):
        raise Invalid.at("/cursor", "is not one that a page ended with") from None


def _cursor(items: list[ReviewItem], limit: int) -> str | None:
    if len(items) < limit:
        return None
    last = items[-1]
    return base64.urlsafe_b64encode(f"{last.worth or 0!r}|{last.link.link_id}".encode()).decode()


@router.get("/reviews", dependencies=[open_to(STEWARD)], responses=answers(ReviewsOut, 400, 401, 403, 422, 503))
async def get_reviews(
    request: Request,
    status: Annotated[Literal["open", "same", "different", "dismissed"], Query()] = "open",
    identifier: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Links that wait for a decision, sorted by what it is worth; or those on which one was made."""
    caller_of(request, STEWARD)
    services = services_of(request)
    worth, after = _place(cursor)
    if identifier is not None:
        key = key_of_text(identifier, "identifier", services.policy())
        found = [
            i for i in await services.archive.reviews_at(key, _AT_ONE_MAX) if (i.link.reviewed or "open") == status
        ]
        following = None
    elif status == "open":
        found = await services.archive.open_reviews(worth, after, limit)
        following = _cursor(found, limit)
    else:
        found = await services.archive.closed_reviews(status, after, limit)
        following = _cursor(found, limit)
    shown_items = [item for item in found if item.link.reviewed or not item.apart]
    why = await whys(services, [item.link for item in shown_items])
    shown = [_item(item, why.get(item.link.link_id)) for item in shown_items]
    return respond({"items": shown, "next_cursor": following})


@router.post(
    "/reviews/{review_id}",
    responses=answers(VerdictOut, 400, 401, 403, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra=reads(ReviewIn),
)
async def post_review(request: Request, review_id: str) -> Response:
    """Decide. `same` and `different` make an assertion that can be undone; none of the three is ever asked again."""
    caller = caller_of(request, STEWARD)
    sent = await body_of(request)
    asked = read_as(ReviewIn, sent.content)
    if not review_id.startswith("rvw_"):
        raise UnknownReview()
    verdict = _VERDICTS[asked.verdict]
    change = Judge(LinkId("lnk_" + review_id.removeprefix("rvw_")), verdict, asked.reason)

    def shape(receipt: StewardReceipt) -> dict[str, Any]:
        return {"review_id": review_id, "status": verdict, **steward_json(receipt)}

    render = one(call_of(request.scope).request_id, shape)
    origin = origin_of(request, caller, sent.raw)
    return respond_answered(await services_of(request).write_path.submit([change], origin, render))
