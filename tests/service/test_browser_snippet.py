"""The browser snippet in real Chromium, sending through a site of its own to the service.

Without a browser the tests are skipped, and say so: put Debian's `chromium` on the PATH, or set CHROMIUM to one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.async_api import Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from service.local.connect import free_port
from tests.service.instances import Api

SNIPPET = Path(__file__).parents[2] / "service" / "client" / "fabric.js"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = """<!doctype html><title>Shop</title>
<script>window.fabric = window.fabric || function () { (fabric.q = fabric.q || []).push(arguments) };
window.dataLayer = []; function gtag() { dataLayer.push(arguments) }
fabric("init", { source: "shop", every: 20 });
%s
fabric("page", { title: "Shoes" });</script>
<script async src="/fabric.js"></script>"""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: the snippet was not tried in Chromium")


def test_it_is_small() -> None:
    assert len(SNIPPET.read_bytes()) < 4_000 and "import" not in SNIPPET.read_text()


class Site:
    """A shop: its page, the snippet, and its own address for events, which has the key that no page has."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.before = ""
        self.is_down = False
        self.sent: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.port = free_port()

    async def page(self, _request: Request) -> Response:
        return HTMLResponse(PAGE % self.before)

    async def script(self, _request: Request) -> Response:
        return Response(SNIPPET.read_bytes(), media_type="text/javascript")

    async def events(self, request: Request) -> Response:
        if self.is_down:
            return Response(status_code=503)
        events = (await request.json())["events"]
        answer = await self.api.post("/v1/events", {"events": events})
        self.sent += events
        self.results += answer.results
        return Response(answer.body, media_type="application/json")

    async def until(self, count: int) -> None:
        """Wait for so many events."""
        for _ in range(300):
            if len(self.sent) >= count:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{len(self.sent)} of {count} events came")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/shoes"


@pytest.fixture
async def site(api: Api) -> AsyncIterator[Site]:
    made = Site(api)
    routes = [
        Route("/shoes", made.page),
        Route("/fabric.js", made.script),
        Route("/v1/events", made.events, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=made.port, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server._serve())
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            with contextlib.suppress(httpx.HTTPError):
                await client.get(made.url)
                break
            await asyncio.sleep(0.05)
    yield made
    server.should_exit = True
    await serving


@pytest.fixture
async def page(site: Site) -> AsyncIterator[Page]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            yield await browser.new_page()
            await browser.close()


def names(event: dict[str, Any]) -> list[str]:
    return [identifier["namespace"] for identifier in event["data"]["identifiers"]]


@needs_browser
async def test_events_go_with_the_consent_of_their_moment(site: Site, page: Page) -> None:
    site.before = 'gtag("consent", "default", { ad_storage: "denied", analytics_storage: "denied" });'
    await page.goto(site.url)
    await site.until(1)
    first = site.sent[0]
    assert first["type"] == "page_view" and first["data"]["properties"]["title"] == "Shoes"
    assert first["data"]["consent"] == {"advertising": "denied", "analytics": "denied"} and names(first) == [
        "session_id"
    ]
    assert await page.evaluate("localStorage.length") == 0
    await page.evaluate('gtag("consent", "update", { analytics_storage: "granted" })')
    await page.evaluate('fabric("product", { product_id: "p-1", price: 10, currency: "EUR" })')
    await page.evaluate('fabric("identify", "login_id", "l-7")')
    await site.until(3)
    second, third = site.sent[1:]
    assert second["data"]["consent"]["analytics"] == "granted" and names(second) == ["cookie_id"]
    assert third["type"] == "identify" and names(third) == ["login_id", "cookie_id"]
    assert [result["status"] for result in site.results] == ["accepted"] * 3, site.results
    await page.evaluate('fabric("consent", { analytics: "withdrawn" }, "GDPR"); fabric("changed")')
    await site.until(4)
    assert site.sent[3]["type"] == "consent_change" and site.sent[3]["data"]["regulation"] == "GDPR"
    assert await page.evaluate("localStorage.length") == 0, "a refusal takes away what was kept"


@needs_browser
async def test_what_could_not_be_sent_is_sent_from_the_next_page(site: Site, page: Page) -> None:
    site.before = 'fabric("consent", { analytics: "granted" }, "GDPR");'
    site.is_down = True
    await page.goto(site.url)
    await page.wait_for_function('(localStorage["_fabricq"] || "").length > 2')
    kept = await page.evaluate('JSON.parse(localStorage["_fabricq"])[0].id')
    site.is_down = False
    await page.goto(site.url + "?again")
    await site.until(2)
    assert kept in {event["id"] for event in site.sent}
    browser_ids = {i["value"] for event in site.sent for i in event["data"]["identifiers"]}
    assert len(browser_ids) == 1, "one browser, one id"
