"""Asks a store whether it answers, and puts what is wrong into one line without user names, passwords or keys."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import neo4j
import redis.asyncio
import redis.exceptions
from neo4j.exceptions import AuthError, ClientError, ConfigurationError, DriverError, Neo4jError

from service.clock import monotonic_s
from service.errors import LocalStoreError

_POLL_S = 0.1
_CONNECT_S = 5.0
_NEO4J_SCHEMES = frozenset(f"{scheme}{tls}" for scheme in ("neo4j", "bolt") for tls in ("", "+s", "+ssc"))


class StoreRefuses(LocalStoreError):
    """The store answers, and does not accept who asks. Waiting does not help."""


class NotYet(Exception):
    """The store does not answer now; it may later. The text says why."""


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def place_of(url: str) -> str:
    """Scheme, host and port of a URL, without user, password and path."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}"
    except ValueError:
        return "an address that can't be read"


async def await_neo4j(uri: str, user: str, password: str, database: str, wait_s: float) -> None:
    """Returns once a query is answered. Raises LocalStoreError at once if it never will be, else after `wait_s`."""
    deadline = monotonic_s() + wait_s
    while True:
        try:
            return await _ask_neo4j(uri, user, password, database)
        except NotYet as error:
            if monotonic_s() >= deadline:
                raise LocalStoreError(f"no Neo4j answers at {place_of(uri)} (NEO4J_URI): {error}") from None
        await asyncio.sleep(_POLL_S)


async def _ask_neo4j(uri: str, user: str, password: str, database: str) -> None:
    place = place_of(uri)
    try:
        if urlsplit(uri).scheme not in _NEO4J_SCHEMES:
            raise ValueError
        driver = neo4j.AsyncGraphDatabase.driver(
            uri,
            auth=(user, password),
            connection_timeout=_CONNECT_S,
            connection_acquisition_timeout=_CONNECT_S,
            max_transaction_retry_time=0,
            telemetry_disabled=True,
        )
    except (ConfigurationError, ValueError, DriverError):
        raise LocalStoreError(
            f"{place} is not an address of a Neo4j (NEO4J_URI); expected neo4j:// or bolt://"
        ) from None
    try:
        async with driver, driver.session(database=database) as session:
            await (await session.run("RETURN 1")).consume()
    except AuthError:
        raise StoreRefuses(f"Neo4j at {place} refuses NEO4J_USER or NEO4J_PASSWORD") from None
    except ClientError as error:
        if error.code == "Neo.ClientError.Database.DatabaseNotFound":
            raise LocalStoreError(f"Neo4j at {place} has no database of the name in NEO4J_DATABASE") from None
        raise NotYet(str(error.code)) from None
    except Neo4jError as error:
        raise NotYet(str(error.code)) from None
    except (DriverError, OSError, TimeoutError) as error:
        raise NotYet(type(error).__name__) from None


async def await_redis(url: str, wait_s: float) -> None:
    """Returns once a ping is answered. Raises LocalStoreError at once if it never will be, else after `wait_s`."""
    deadline = monotonic_s() + wait_s
    while True:
        try:
            return await _ask_redis(url)
        except NotYet as error:
            if monotonic_s() >= deadline:
                raise LocalStoreError(f"no Redis answers at {place_of(url)} (REDIS_URL): {error}") from None
        await asyncio.sleep(_POLL_S)


async def _ask_redis(url: str) -> None:
    place = place_of(url)
    try:
        client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=_CONNECT_S, socket_timeout=_CONNECT_S)
    except ValueError:
        raise LocalStoreError(
            f"{place} is not an address of a Redis (REDIS_URL); expected redis:// or rediss://"
        ) from None
    try:
        await client.get("a key to see whether commands are allowed")
    except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
        raise StoreRefuses(f"Redis at {place} refuses the user or password in REDIS_URL") from None
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise NotYet(type(error).__name__) from None
    finally:
        await client.aclose()
