"""What `/openapi.json` says of routes whose bodies are read strictly by our own reader. Made from the same models."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from service.api.document_links import with_links
from service.api.schemas import ProblemOut, ProfileOut

_BODIES: set[type[BaseModel]] = set()
_MEANS = {
    400: "The request can't be read.",
    401: "No key, or one that is not known.",
    403: "The roles of the key do not allow this.",
    404: "There is nothing of that name.",
    409: "The request contradicts what is in force.",
    410: "It named a person who has been erased.",
    413: "Over a limit.",
    415: "Not JSON in UTF-8.",
    422: "Something in the request can't be; the pointers say what.",
    429: "This key's share is used up; Retry-After says until when.",
    500: "A defect of the service; the request id finds its cause in the log.",
    503: "Not now; Retry-After says when.",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key and body give the stored answer, marked `Idempotency-Replayed: true`.",
}


def answers(model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: its answer, and the problems it may give."""
    found: dict[int | str, dict[str, Any]] = {200: {"model": model}}
    for status in errors:
        found[status] = {
            "description": _MEANS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
        }
    return found


def created(model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that answers with 201."""
    found = answers(model, *errors)
    return {201: found.pop(200), **found}


def also_as(found: dict[int | str, dict[str, Any]], media_type: str, meaning: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` whose answer comes as text of another media type where the caller accepts it."""
    found[200]["content"] = {media_type: {"schema": {"type": "string", "description": meaning}}}
    return found


def reads(*models: type[BaseModel], idempotent: bool = True) -> dict[str, Any]:
    """`openapi_extra=` of a route that reads one of `models` as its body."""
    _BODIES.update(models)
    options = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in models]
    extra: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": options[0] if len(options) == 1 else {"anyOf": options}}},
        }
    }
    if idempotent:
        extra["parameters"] = [IDEMPOTENCY_KEY]
    return extra


def signed(*models: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra=` of a route for signed webhooks whose bodies are `models`."""
    says = {
        "webhook-id": "The same for every delivery of one webhook.",
        "webhook-timestamp": "When this delivery was signed, seconds since 1970; at most 300 s away.",
        "webhook-signature": "`v1,` and the base64 HMAC-SHA-256 of `id.timestamp.body`; several with blanks between.",
    }
    extra = reads(*models, idempotent=False)
    extra["parameters"] = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": text}
        for name, text in says.items()
    ]
    return extra


def taken(model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    """The same for a route that takes what is carried out later: 202."""
    found = answers(model, *errors)
    return {202: found.pop(200), **found}


DOCS_PATH = "/docs"
_ASSETS = "/docs/assets"


def serve_pages(app: FastAPI) -> None:
    """Give the application a documentation page that loads nothing from elsewhere (files of `fastapi-offline`)."""
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(DOCS_PATH, include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )


def _query(name: str, schema: dict[str, Any], says: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": says}


LOOKUP_PARAMETERS = [
    _query("purpose", {"type": "string"}, "What it is for; required of a key that may only activate."),
    _query("min_confidence", {"type": "number", "minimum": 0, "maximum": 1}, "Leaves out what is less sure."),
    _query("as_of", {"type": "string", "format": "date-time"}, "What was believed then."),
]


def _lookup_operation() -> dict[str, Any]:
    responses = {
        "200": {
            "description": "The profile as this identifier sees it.",
            "headers": {"X-Cache": {"schema": {"type": "string", "enum": ["hit", "miss", "bypass"]}}},
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ProfileOut.__name__}"}}},
        }
    }
    for status in (400, 401, 403, 404, 422, 503):
        responses[str(status)] = answers(ProfileOut, status)[status]
    return {
        "tags": ["lookup"],
        "summary": "Look up by identifier",
        "operationId": "look_up",
        "parameters": [
            _query("namespace", {"type": "string"}, "The identifier's namespace.", required=True),
            _query("value", {"type": "string"}, "Its value; never a plain personal one.", required=True),
            *LOOKUP_PARAMETERS,
        ],
        "responses": responses,
        "security": [{"key": []}],
    }


def document(app: FastAPI) -> None:
    """Give the application an `/openapi.json` that tells of everything it answers."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            components = made.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            wanted = [*sorted(_BODIES, key=lambda model: model.__name__)]
            _, bodies = models_json_schema(
                [(model, "validation") for model in wanted], ref_template="#/components/schemas/{model}"
            )
            _, shown = models_json_schema(
                [(model, "serialization") for model in (ProblemOut, ProfileOut)],
                ref_template="#/components/schemas/{model}",
            )
            schemas |= bodies.get("$defs", {}) | shown.get("$defs", {})
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for name in ("HTTPValidationError", "ValidationError"):  # the framework's own, which nobody is answered
                schemas.pop(name, None)
            made["paths"].setdefault("/v1/profiles", {})["get"] = _lookup_operation()
            for path, operations in made["paths"].items():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422")):
                        operation["responses"]["422"] = answers(ProblemOut, 422)[422]
                    operation["responses"].setdefault("500", answers(ProblemOut, 500)[500])
                    for status in (429, 503) if path.startswith("/v1/") else ():
                        operation["responses"].setdefault(str(status), answers(ProblemOut, status)[status])
                    if path.startswith("/v1/") and not path.startswith("/v1/webhooks/"):
                        operation["security"] = [{"key": []}]
            with_links(made["paths"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
