"""Outbound HTTP, bounded and checked: hosts by an exact list, one look-up checked as it is connected to, no redirects,
no proxy of the environment, certificates verified, limits on time and size.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from service.adapters.delivery.shapes import Response
from service.delivery.addresses import may_reach

CONNECT_S_MAX: Final = 5.0
TOTAL_S_MAX: Final = 15.0
ANSWER_BYTES_MAX: Final = 262_144
CONNECTIONS_MAX: Final = 100
IDLE_S_MAX: Final = 30.0


class EgressRefused(Exception):
    """This address is not to be connected to; says why, without the address."""


class NotSent(Exception):
    """Nothing reached the receiver."""


class OutcomeUnknown(Exception):
    """The receiver may have it: no answer came."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts that may be reached, as written, and whether they may be on one's own network (then plain HTTP too)."""

    hosts: frozenset[str]
    private: bool = False

    def refusal(self, url: str) -> str | None:
        """Why an address is not to be reached; None where it may."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return "is not an address"
        if parts.scheme != "https" and not (parts.scheme == "http" and self.private):
            return "must begin with https://"
        if not host or parts.username is not None or parts.password is not None or port == 0:
            return "is not an address"
        if any(character.isspace() or not character.isprintable() or character == "\\" for character in url):
            return "is not an address"
        if parts.netloc.rpartition("@")[2].partition(":")[0].lower() not in self.hosts and host not in self.hosts:
            return "names a host that is not in EGRESS_ALLOW"
        return None


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, checks what it gave, and connects to that address and no other."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises EgressRefused where any of a name's addresses is not to be reached."""
        loop = asyncio.get_running_loop()
        try:
            found = await asyncio.wait_for(
                loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP), timeout
            )
        except (OSError, UnicodeError, TimeoutError) as error:
            raise httpcore.ConnectError("the name could not be looked up") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(may_reach(address, private=self._allowed.private) for address in addresses):
            raise EgressRefused("leads to an address that is not to be reached")
        failure: Exception | None = None
        for address in addresses[:3]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address answered")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise EgressRefused("is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Egress:
    """Connections to receivers."""

    def __init__(self, allowed: Allowed, context: ssl.SSLContext | None = None) -> None:
        self._allowed = allowed
        self._context = context or ssl.create_default_context()
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}

    def _pool(self, host: str) -> httpcore.AsyncConnectionPool:
        """One pool a host, so that a receiver that answers slowly takes nobody else's connections."""
        pool = self._pools.get(host)
        if pool is None:
            pool = self._pools[host] = httpcore.AsyncConnectionPool(
                ssl_context=self._context,
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=IDLE_S_MAX,
                retries=0,
                network_backend=CheckedBackend(self._allowed),
            )
        return pool

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """One request, one answer, whatever its status. Raises EgressRefused, NotSent, OutcomeUnknown."""
        refusal = self._allowed.refusal(url)
        if refusal is not None:
            raise EgressRefused(refusal)
        target = httpcore.URL(url)
        fields = [(b"host", urlsplit(url).netloc.rpartition("@")[2].encode()), (b"content-length", b"%d" % len(body))]
        fields += [(name.encode(), value.encode()) for name, value in headers.items()]
        times = {"connect": CONNECT_S_MAX, "read": TOTAL_S_MAX, "write": TOTAL_S_MAX, "pool": TOTAL_S_MAX}
        request = httpcore.Request(method, target, headers=fields, content=body, extensions={"timeout": times})
        try:
            async with asyncio.timeout(TOTAL_S_MAX):
                return await self._exchange(self._pool(urlsplit(url).netloc), request)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
            raise NotSent("could not connect") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, TimeoutError) as error:
            raise OutcomeUnknown("no answer came") from error

    @staticmethod
    async def _exchange(pool: httpcore.AsyncConnectionPool, request: httpcore.Request) -> Response:
        answer = await pool.handle_async_request(request)
        try:
            size, parts = 0, list[bytes]()
            async for part in answer.aiter_stream():
                size += len(part)
                if size > ANSWER_BYTES_MAX:
                    break
                parts.append(part)
        finally:
            await answer.aclose()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Response(answer.status, headers, b"".join(parts))

    async def close(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()
