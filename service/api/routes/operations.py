"""How the service is: open without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.documentation import answers
from service.api.reading import services_of
from service.api.render import respond
from service.api.schemas import Health, Readiness
from service.telemetry import METRICS_MEDIA_TYPE, render_metrics

router = APIRouter(tags=["operations"])


@router.get("/healthz", responses=answers(Health))
async def healthz() -> Response:
    """The process is up."""
    return respond({"status": "ok"})


@router.get("/readyz", responses={**answers(Readiness), 503: {"model": Readiness, "description": "Not ready."}})
async def readyz(request: Request) -> Response:
    """Whether requests can be answered. Without Redis the service is degraded: slower, not wrong."""
    found = await services_of(request).health()
    stores = {name: {"state": getattr(found, name)} for name in ("neo4j", "redis", "migrations")}
    return respond({"status": found.status, **stores}, 503 if found.status == "not_ready" else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Metrics as Prometheus text. The stores are asked first, so that `fabric_store_up` is true."""
    await services_of(request).health()
    return Response(render_metrics(), 200, media_type=METRICS_MEDIA_TYPE)
