"""Instances of the service on the real stores of the test run, and callers that hold every answer against the document.

`Api` calls an instance in the loop of the test, `Client` a served one from any thread.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from service.bootstrap import Assembled, assembled
from service.local import Stores
from service.local.connect import free_port
from service.settings import Settings
from tests.service.documented import Document

ROLES = ("admin", "activation", "collector", "steward", "privacy")
KEYS = {f"key-of-{role}": [role] for role in ROLES} | {"key-of-two": ["activation", "collector"]}
Json = dict[str, Any]
_JSON = {"content-type": "application/json"}


def key_of(role: str) -> str:
    """The key with this one role."""
    return f"key-of-{role}"


def quiet(_line: str) -> None:
    """What an instance is given to speak to."""


# ---- what is sent and read


def fresh(namespace: str = "crm_id") -> str:
    """An identifier nobody has seen, valid in its namespace, as `namespace:value`."""
    value = secrets.token_hex(32) if namespace.endswith("sha256") else f"t-{secrets.token_hex(8)}"
    return f"{namespace}:{value}"


def named(key: str) -> Json:
    """`{"namespace", "value"}` of `namespace:value`."""
    namespace, _, value = key.partition(":")
    return {"namespace": namespace, "value": value}


def name(identifier: Json) -> str:
    """The inverse of `named`."""
    return f"{identifier['namespace']}:{identifier['value']}"


def link(a: str, b: str, **more: object) -> Json:
    """The body of a link."""
    sent = {"a": named(a), "b": named(b), "method": "deterministic", "confidence": 0.93, "source": "crm", "rule": "t"}
    return sent | more


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that agrees with the document."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def names(self) -> list[str]:
        """The identifiers of a profile, sorted."""
        return sorted(name(identifier) for identifier in self.json["identifiers"])

    @property
    def results(self) -> list[Json]:
        """The results of a batch, with 200."""
        assert self.status == 200, self
        found: list[Json] = self.json["results"]
        return found

    @property
    def pointers(self) -> list[str]:
        """Where a 422 says that something is wrong."""
        return [error["pointer"] for error in self.json.get("errors", [])]

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:400]!r}"


def refused(reply: Reply, status: int, code: str | None = None) -> Json:
    """The problem, once its shape has been looked at."""
    assert reply.status == status, reply
    found: Json = reply.json
    assert reply.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(found)
    assert found["request_id"] == reply.headers["x-request-id"]
    assert found["type"].endswith(found["code"])
    if code is not None:
        assert found["code"] == code, reply
    if status == 422 and found["code"] == "invalid":
        assert found["errors"] and all(set(error) == {"pointer", "message"} for error in found["errors"])
    return found


def checked(document: Document, answer: httpx.Response) -> Reply:
    """The answer as a Reply. Raises Undocumented."""
    path, method = answer.request.url.path, answer.request.method
    document.check(method, path, answer.status_code, answer.headers.get("content-type", ""), answer.content)
    assert answer.headers["x-request-id"]
    if answer.status_code in (429, 503) and path != "/readyz":
        assert int(answer.headers["retry-after"]) > 0
    return Reply(answer.status_code, answer.headers, answer.content)


def request_of(http: httpx.AsyncClient | httpx.Client, key: str | None, method: str, path: str, **more: Any) -> Any:
    """A request, with the key as it is sent and what httpx takes."""
    headers = dict(more.pop("headers", None) or {})
    if key is not None:
        headers.setdefault("authorization", f"Bearer {key}")
    return http.build_request(method, path, headers=headers, **more)


@dataclass(frozen=True, slots=True)
class Api:
    """Calls an instance in this loop, as a caller with one key."""

    http: httpx.AsyncClient
    document: Document
    key: str | None = "key-of-admin"

    def as_(self, key: str | None) -> Api:
        """The same instance, another key."""
        return Api(self.http, self.document, key)

    def role(self, role: str) -> Api:
        """The same instance, a key with one role."""
        return self.as_(key_of(role))

    async def call(self, method: str, path: str, **more: Any) -> Reply:
        """One request; `more` as httpx takes it."""
        return checked(self.document, await self.http.send(request_of(self.http, self.key, method, path, **more)))

    async def get(self, path: str, **params: Any) -> Reply:
        """GET with a query."""
        return await self.call("GET", path, params=params or None)

    async def post(self, path: str, body: object, **headers: str) -> Reply:
        """POST of JSON."""
        sent = {header.replace("_", "-"): value for header, value in headers.items()}
        return await self.call("POST", path, content=json.dumps(body), headers={**_JSON, **sent})

    async def links(self, *links: Json) -> list[Json]:
        """Results of links sent in one batch."""
        return (await self.post("/v1/links", {"links": list(links)})).results

    async def lookup(self, key: str, **params: Any) -> Reply:
        """A look-up by identifier."""
        return await self.get("/v1/profiles", **named(key), **params)

    async def profile_id(self, key: str) -> str:
        """The id that the profile of an identifier shows."""
        return str((await self.lookup(key)).json["profile_id"])


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance in this loop, and a way to call it."""

    assembled: Assembled
    api: Api


@asynccontextmanager
async def calling(made: Assembled) -> AsyncIterator[Api]:
    """A caller of an instance in this loop, without a network between."""
    transport = httpx.ASGITransport(app=made.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://instance", timeout=60) as http:
        openapi = (await http.get("/openapi.json")).json()
        yield Api(http, Document(openapi))


@asynccontextmanager
async def opened(settings: Settings, stores: Stores) -> AsyncIterator[Instance]:
    """One more instance on these stores."""
    async with assembled(settings, stores, quiet) as made, calling(made) as api:
        yield Instance(made, api)


# ---- served


@asynccontextmanager
async def served(made: Assembled) -> AsyncIterator[int]:
    """The port on which an instance is served over HTTP, in this loop."""
    port = free_port()
    config = uvicorn.Config(
        made.app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        await task


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


@dataclass(slots=True)
class Client:
    """Calls a served instance from any thread, as an admin."""

    base_url: str
    key: str = "key-of-admin"
    http: httpx.Client = field(init=False)
    document: Document = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.base_url, timeout=60)
        self.document = Document(self.http.get("/openapi.json").json())

    def call(self, method: str, path: str, **more: Any) -> Reply:
        """One request; `more` as httpx takes it."""
        return checked(self.document, self.http.send(request_of(self.http, self.key, method, path, **more)))

    def get(self, path: str, **params: Any) -> Reply:
        """GET with a query."""
        return self.call("GET", path, params=params)

    def post(self, path: str, body: object) -> Reply:
        """POST of JSON."""
        return self.call("POST", path, content=json.dumps(body), headers=_JSON)

    def lookup(self, key: str, **params: Any) -> Reply:
        """A look-up by identifier."""
        return self.get("/v1/profiles", **named(key), **params)


@contextmanager
def background(settings: Settings, stores: Stores, count: int) -> Iterator[list[Client]]:
    """So many instances on these stores, served from a thread with a loop of its own."""
    ports: Future[list[int]] = Future()
    over: Future[asyncio.Event] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with _many(settings, stores, count) as found:
            over.set_result(stop)
            ports.set_result(found)
            await stop.wait()

    def thread() -> None:
        try:
            runner.run(run())
        except BaseException as error:
            if not ports.done():
                ports.set_exception(error)
                return
            raise

    with asyncio.Runner() as runner:
        worker = threading.Thread(target=thread, name="instances")
        worker.start()
        clients: list[Client] = []
        try:
            clients += [Client(f"http://127.0.0.1:{port}") for port in ports.result(60)]
            yield clients
        finally:
            for client in clients:
                client.http.close()
            if over.done():
                runner.get_loop().call_soon_threadsafe(over.result().set)
            worker.join(60)
            assert not worker.is_alive()


@asynccontextmanager
async def _many(settings: Settings, stores: Stores, count: int) -> AsyncIterator[list[int]]:
    if not count:
        yield []
        return
    async with (
        assembled(settings, stores, quiet) as made,
        served(made) as port,
        _many(settings, stores, count - 1) as others,
    ):
        yield [port, *others]
