"""The outermost layer, around a real application; and what is logged and measured."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from service.api.asgi import Outermost, answer_problems, call_of, headers_of, read_body, request_ids
from service.errors import BodyTooLarge, Busy, Malformed, UnknownLink
from service.telemetry import METRICS, HttpTally, Metrics, configure_logs, redact, redact_text, render_metrics

SECRET = "jane.secret@example.com"
LIMIT = 1000


def application() -> FastAPI:
    app = FastAPI(openapi_url=None)
    router = APIRouter(prefix="/v1")

    @router.get("/links/{link_id}")
    async def unknown(link_id: str) -> None:
        raise UnknownLink

    @router.get("/fails/{value}")
    async def fails(value: str) -> None:
        local = value * 2
        raise ValueError(f"{local} {SECRET}") from KeyError(SECRET)

    @router.get("/busy")
    async def busy() -> None:
        raise Busy(retry_after_s=3)

    @router.post("/own")
    async def own(request: Request) -> dict[str, int]:
        return {"size": len(await read_body(request.receive, LIMIT))}

    @router.post("/framework")
    async def framework(body: dict[str, Any]) -> dict[str, int]:
        return {"size": len(body)}

    async def look_up(request: Request) -> Response:
        call = call_of(request.scope)
        call.route, call.caller = "/v1/profiles", "key:1a2b3c"
        return Response(b"{}", 404 if b"x-missing" in call.headers else 200, media_type="application/json")

    app.include_router(router)
    app.router.routes.append(Route("/v1/profiles", look_up, methods=["GET"]))
    answer_problems(app)
    return app


class Up:
    """The application behind the outermost layer, its log and its tally."""

    def __init__(self, app: Any, log: io.StringIO, **settings: Any) -> None:
        self.tally = HttpTally()
        self.log = log
        given: dict[str, Any] = {
            "body_bytes_max": LIMIT,
            "quiet_routes": ["/v1/profiles"],
            "tally": self.tally,
            **settings,
        }
        self.app = Outermost(app, new_request_id=request_ids("req"), **given)

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://fabric") as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(once())

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def up(log: io.StringIO) -> Up:
    return Up(application(), log)


def is_problem(r: httpx.Response, status: int, code: str) -> None:
    body = r.json()
    assert (r.status_code, body["status"], body["code"]) == (status, status, code)
    assert r.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == r.headers["x-request-id"]


def test_a_request_id_is_taken_if_it_is_sane_and_made_otherwise(up: Up) -> None:
    assert up.ask("GET", "/v1/profiles", headers={"X-Request-Id": "abc-1_Z"}).headers["x-request-id"] == "abc-1_Z"
    for wrong in ("", "a b", SECRET, "x" * 65, "a\tb"):
        assert re.fullmatch(
            r"req-[0-9a-f]+", up.ask("GET", "/", headers={"X-Request-Id": wrong}).headers["x-request-id"]
        )
    twice = [("X-Request-Id", "a"), ("X-Request-Id", "b")]
    assert up.ask("GET", "/", headers=twice).headers["x-request-id"].startswith("req-")


def test_every_error_is_a_problem(up: Up) -> None:
    is_problem(up.ask("GET", "/v1/links/lnk_1"), 404, "unknown_link")
    is_problem(up.ask("GET", f"/v1/fails/{SECRET}"), 500, "internal_error")
    is_problem(up.ask("GET", f"/nothing/{SECRET}"), 404, "not_found")
    is_problem(
        up.ask("POST", "/v1/framework", content=b"{", headers={"content-type": "application/json"}),
        400,
        "malformed_json",
    )
    is_problem(up.ask("POST", "/v1/framework", json=[SECRET]), 422, "invalid")
    busy = up.ask("GET", "/v1/busy")
    is_problem(busy, 503, "overloaded")
    assert busy.headers["retry-after"] == "3"
    wrong = up.ask("DELETE", "/v1/profiles")
    is_problem(wrong, 405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert SECRET not in up.log.getvalue() and "jane" not in up.log.getvalue()


@pytest.mark.parametrize("path", ["/v1/own", "/v1/framework", "/v1/busy"])
def test_a_body_over_the_limit_is_refused_with_or_without_its_length(up: Up, path: str) -> None:
    head = {"content-type": "application/json"}

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b'["' + b"x" * 100

    is_problem(up.ask("POST", path, content=b"x" * (LIMIT + 1), headers=head), 413, "body_too_large")
    if path != "/v1/busy":  # never reads its body
        is_problem(up.ask("POST", path, content=parts(), headers=head), 413, "body_too_large")
    is_problem(up.ask("POST", path, content=b"x", headers=head | {"content-length": "9" * 30}), 413, "body_too_large")


def test_a_body_at_the_limit_is_read(up: Up) -> None:
    assert up.ask("POST", "/v1/own", content=b"x" * LIMIT).json() == {"size": LIMIT}


def test_headers_that_protect(up: Up) -> None:
    for path in ("/v1/profiles", "/v1/links/x", "/v1/fails/x"):
        headers = up.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "script-src 'self'" in up.ask("GET", "/docs").headers["content-security-policy"]


def test_headers_of_the_route_are_kept_and_its_constants_untouched(log: io.StringIO) -> None:
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"cache-control", b"max-age=60"), (b"x-cache", b"hit")],
    }

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    up = Up(constant, log)
    for _ in range(2):
        r = up.ask("GET", "/")
        assert r.headers.get_list("cache-control") == ["max-age=60"] and r.headers["x-cache"] == "hit"
    assert len(start["headers"]) == 2  # type: ignore[arg-type]


def test_an_application_that_fails_outside_the_framework_still_gives_a_problem(log: io.StringIO) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError(SECRET)

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    for app in (broken, silent):
        is_problem(Up(app, log).ask("GET", "/"), 500, "internal_error")
    assert SECRET not in log.getvalue()
    assert [line["level"] for line in Up(broken, log).lines()] == ["error", "error"]


def test_a_failure_after_the_start_is_logged_and_not_answered_twice(log: io.StringIO) -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SECRET)

    up, sent = Up(half, log, quiet_routes=["unmatched"]), []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    asyncio.run(up.app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    assert sent == ["http.response.start"]
    assert up.lines()[0]["level"] == "error" and SECRET not in log.getvalue()


def test_the_log_names_templates_and_never_paths_queries_or_values(up: Up) -> None:
    up.ask("GET", f"/v1/fails/{SECRET}?q={SECRET}", headers={"X-Request-Id": "r1"})
    up.ask("GET", f"/nothing/{SECRET}?q={SECRET}")
    failed, missing = up.lines()
    assert (failed["route"], failed["status"], failed["request_id"]) == ("/v1/fails/{value}", 500, "r1")
    assert failed["level"] == "error" and failed["code"] == "internal_error" and failed["duration_ms"] >= 0
    assert "builtins.ValueError" in failed["exception"] and "builtins.KeyError" in failed["exception"]
    assert any(place.endswith("fails") for place in failed["exception"])
    assert (missing["route"], missing["status"]) == ("unmatched", 404)
    assert "jane" not in up.log.getvalue()


def test_successes_of_quiet_routes_are_logged_only_every_so_often(log: io.StringIO) -> None:
    up = Up(application(), log)
    up.ask("GET", "/v1/profiles")
    up.ask("GET", "/v1/profiles", headers={"x-missing": "1"})
    assert up.lines() == []
    up = Up(application(), log, log_every=3)
    for _ in range(6):
        up.ask("GET", "/v1/profiles")
    assert [(line["route"], line["caller"]) for line in up.lines()] == [("/v1/profiles", "key:1a2b3c")] * 2


def test_requests_are_counted_by_template_and_status(up: Up) -> None:
    metrics = Metrics()
    metrics.registry.unregister(metrics.http)
    metrics.registry.register(up.tally)
    for path in ("/v1/profiles", "/v1/profiles", "/v1/links/a", "/v1/links/b", f"/{SECRET}"):
        up.ask("GET", path)
    up.ask("BREW", "/v1/profiles")
    told = metrics.render().decode()
    assert 'fabric_http_requests_total{method="GET",route="/v1/profiles",status="200"} 2.0' in told
    assert 'fabric_http_requests_total{method="GET",route="/v1/links/{link_id}",status="404"} 2.0' in told
    assert 'fabric_http_requests_total{method="OTHER",route="unmatched",status="405"} 1.0' in told
    assert 'fabric_http_request_seconds_count{method="GET",route="/v1/links/{link_id}"} 2.0' in told
    assert 'fabric_http_request_seconds_bucket{le="+Inf",method="GET",route="/v1/profiles"} 2.0' in told
    assert "jane" not in told


def test_the_tally_stops_growing() -> None:
    tally = HttpTally()
    for n in range(HttpTally.SERIES_MAX + 50):
        tally.observe("GET", f"/{n}", 200, 0.001)
    assert len(tally._series) == HttpTally.SERIES_MAX + 1
    assert tally._series[("OTHER", "other", 200)].buckets[1] == 50


def test_all_metrics_are_prometheus_text() -> None:
    METRICS.lookup_hit.inc(0)
    METRICS.neo4j_up.set(1)
    line = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="[^"]*",?)*\})? (NaN|[+-]?(Inf|[0-9.]+([eE][+-]?[0-9]+)?))')
    lines = [x for x in render_metrics().decode().splitlines() if not x.startswith("#")]
    assert lines and all(line.fullmatch(x) for x in lines)
    named = {x.rpartition(" ")[0] for x in lines}
    assert {'fabric_store_up{store="neo4j"}', 'fabric_lookups_total{cache="hit"}'} <= named
    assert 'fabric_store_up{store="neo4j"} 1.0' in lines


def test_read_body_by_itself() -> None:
    def source(*messages: Message) -> Receive:
        waiting = iter(messages)

        async def receive() -> Message:
            return next(waiting)

        return receive

    part = {"type": "http.request", "body": b"ab", "more_body": True}
    last = {"type": "http.request", "body": b"c"}
    assert asyncio.run(read_body(source(part, part, last), 5)) == b"ababc"
    assert asyncio.run(read_body(source({"type": "http.request"}), 0)) == b""
    for messages in ((part, part), (last, last)):
        with pytest.raises(BodyTooLarge):
            asyncio.run(read_body(source(*messages), 3 if len(messages[0]) == 3 else 0))
    with pytest.raises(Malformed):
        asyncio.run(read_body(source(part, {"type": "http.disconnect"}), 5))


def test_headers_sent_twice_are_joined() -> None:
    assert headers_of([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {b"a": b"1, 3", b"b": b"2"}


# ---- logs of libraries, and the second line of defence


def test_of_library_records_only_the_template_is_written(log: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info('%s - "%s"', "127.0.0.1", f"GET /v1/profiles?value={SECRET}")
    logging.getLogger("neo4j.notifications").warning("query: MATCH (n {v: '%s'})", SECRET)
    logging.getLogger("neo4j").warning("parameters %s", SECRET)
    logging.getLogger("neo4j.pool").error("lost %s", SECRET)
    logging.getLogger("httpx").info("HTTP Request: %s", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n%s", SECRET)
        logging.getLogger("asyncio").error(f"Task failed\nfuture: {SECRET}")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(x["logger"], x["event"]) for x in lines] == [
        ("neo4j.pool", "lost %s"),
        ("uvicorn.error", "Exception in ASGI application"),
        ("asyncio", "Task failed"),
    ]
    assert "jane" not in log.getvalue()


def test_values_under_telling_keys_and_telling_shapes_are_hidden() -> None:
    event = {
        "event": f"saw {SECRET}",
        "value": "Jane",
        "Authorization": "Bearer k",
        "nested": {"identifier": {"namespace": "crm_id", "value": "1"}, "list": [f"x:{SECRET}", "+31 6 1234 5678"]},
        "digest": "ab" * 32,
        "thing": object(),
        "status": 200,
        "request_id": "ab" * 16,
    }
    told = redact(None, "info", event)
    assert told["value"] == told["Authorization"] == told["nested"]["identifier"] == "[redacted]"
    assert (told["event"], told["nested"]["list"]) == ("saw [email]", ["x:[email]", "[number]"])
    assert (told["digest"], told["thing"], told["status"]) == ("[digest]", "[object]", 200)
    assert told["request_id"] == "ab" * 16, "ids of requests may be traced"


def test_ordinary_text_stays_readable() -> None:
    for text in (
        "turn of 300 changes in 41.25 ms",
        "2026-11-24T10:43:04.930786Z",
        "V0001__evidence.cypher",
        "prf_4k2j",
    ):
        assert redact_text(text) == text


def test_odd_things_can_be_logged(log: io.StringIO) -> None:
    structlog.get_logger().info("odd", text="\ud800", big=2**70, empty=None, pair=(1, {2}))
    assert json.loads(log.getvalue())["big"] == 2**70
