"""What the service is measured against: the plainest thing that a good engineer would put on the same stores.

    python -m tests.bench.baselines asgi|fastapi|neo4j     (prints its port; REDIS_URL or NEO4J_URI say where)

One uvicorn process each, on uvloop and httptools like the service, without authentication, checks, metrics or logs.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import uvicorn

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

READ = "MATCH (i:Identifier {key: $key})-[:IN]->(p:Profile) RETURN p.view AS view"


async def _respond(send: Callable[[Message], Awaitable[None]], body: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body or b""))]
    await send({"type": "http.response.start", "status": 404 if body is None else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})


def asgi_app() -> App:
    """A bare ASGI application: one GET a request, under the query string as it came."""
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])

    async def app(scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        await _respond(send, await client.get(b"plain:" + scope["query_string"]))

    return app


def fastapi_app() -> App:
    """An ordinary FastAPI route: declared parameters, one GET, the stored bytes as the response."""
    import redis.asyncio
    from fastapi import FastAPI, HTTPException, Response

    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    app = FastAPI()

    @app.get("/v1/profiles")
    async def look_up(namespace: str, value: str, purpose: str) -> Response:
        body = await client.get(f"plain:namespace={namespace}&value={value}&purpose={purpose}")
        if body is None:
            raise HTTPException(404)
        return Response(body, media_type="application/json")

    return app


def neo4j_app() -> App:
    """A bare ASGI application: one auto-commit query a request, on the same constraint, returning the same profile."""
    from neo4j import AsyncDriver, AsyncGraphDatabase

    made: list[AsyncDriver] = []

    async def app(scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        if not made:
            auth = ("neo4j", os.environ["NEO4J_PASSWORD"])
            made.append(AsyncGraphDatabase.driver(os.environ["NEO4J_URI"], auth=auth))
        asked = parse_qs(scope["query_string"])
        key = f"{asked[b'namespace'][0].decode()}:{asked[b'value'][0].decode()}"
        async with made[0].session(database="neo4j") as session:
            found = await (await session.run(READ, key=key)).single()
        await _respond(send, None if found is None else found["view"].encode())

    return app


APPS = {"asgi": asgi_app, "fastapi": fastapi_app, "neo4j": neo4j_app}


def main() -> None:
    """The process."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        APPS[sys.argv[1]](), loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
