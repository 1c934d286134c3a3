"""Assembles the application; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from service import __version__
from service.api.asgi import Outermost, answer_problems
from service.api.context import Services
from service.api.direct import ENDPOINTS, DirectRoutes
from service.api.documentation import DOCS_PATH, document, serve_pages
from service.api.lookup_route import PATH, LookupRoute
from service.api.reading import no_address_in_path
from service.api.routes import (
    audiences,
    audit,
    consents,
    cutovers,
    decisions,
    deliveries,
    destinations,
    events,
    lineage,
    links,
    opendsr,
    operations,
    policies,
    profiles,
    quality,
    quarantine,
    records,
    replays,
    reviews,
    schemas,
    stewardship,
    webhooks,
)

__all__ = ["ASGIApp", "create_app"]

DESCRIPTION = "Which identifiers belong to one person, how sure that is and why, and what that person allows."


def create_app(
    services: Services, new_request_id: Callable[[], str], guarded: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> ASGIApp:
    """The whole application for one set of services. `guarded`: what stands before everything but the outermost."""
    app = FastAPI(
        title="Identity Fabric",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a path that is not documented is 404, without a detour that repeats it
    )
    app.state.services = services
    for family in (
        operations,
        links,
        events,
        quarantine,
        schemas,
        lineage,
        replays,
        quality,
        stewardship,
        reviews,
        profiles,
        consents,
        decisions,
        audiences,
        policies,
        records,
        audit,
        opendsr,
        webhooks,
        deliveries,
        destinations,
        cutovers,
    ):
        app.include_router(family.router, dependencies=[Depends(no_address_in_path)])
    answer_problems(app)
    document(app)
    serve_pages(app)
    return Outermost(
        guarded(LookupRoute(services, DirectRoutes(app, app))),
        new_request_id=new_request_id,
        body_bytes_max=services.body_bytes_max,
        docs_paths=(DOCS_PATH,),
        quiet_routes=(PATH, *ENDPOINTS, "/healthz", "/readyz", "/metrics"),
    )
