"""Odd headers, queries and paths, as bytes that no client library would send."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from tests.service.instances import Instance, fresh, link, served
from tests.service.watch import UNPARSED, Watch


@pytest.fixture(scope="module")
async def port(instance: Instance) -> AsyncIterator[int]:
    """Where `instance` is served, for what no client library would send."""
    async with served(instance.assembled) as found:
        yield found


async def wire(port: int, *lines: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """Status and answer of a request written by hand; (0, b"") where the connection is closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\r\n".join([*lines, b"host: x", b"connection: close", b"", b""]) + body)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer


ADMIN = b"authorization: Bearer key-of-admin"


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xfe",
        b"Bearer \xc3\xa9",
        b"Bearer " + b"x" * 5_000,
        b"Bearer key-of-admin, Bearer key-of-admin",
        b"Bearer key-of-admin\x0b",
        b"Bearer \x7fkey",
        b"BEARER",
        b"Digest username=x",
        b"{}",
        b"Bearer null",
        b"Bearer 'OR''='",
    ],
)
async def test_an_odd_authorization_header_is_no_key(port: int, watch: Watch, header: bytes) -> None:
    value = watch.new().encode()
    target = b"GET /v1/profiles?namespace=device_id&value=" + value + b" HTTP/1.1"
    status, answer = await wire(port, target, b"authorization: " + header)
    assert status in (400, 401) and value not in answer
    if status == 401:
        assert b"application/problem+json" in answer and header not in answer
    twice = await wire(port, target, ADMIN, b"authorization: " + header)
    assert twice[0] in (400, 401)


QUERIES = [
    b"namespace=device_id&value=%zz&value=a",
    b"namespace=device_id&namespace=crm_id&value=M",
    b"namespace=device_id&value=M&value=M",
    b"namespace=device_id&value=M%ff",
    b"namespace=device_id&value=M%c0%80",
    b"namespace=device_id&value=M%00",
    b"namespace=device_id&value=M%ed%a0%80",
    b"namespace=device_id&value=M&purpose=analytics&purpose=advertising",
    b"namespace=device_id&value=M&min_confidence=0.1&min_confidence=0.2",
    b"namespace=device_id&value=M&min_confidence=1e400",
    b"namespace=device_id&value=M&min_confidence=",
    b"namespace=device_id&value=M&min_confidence=inf",
    b"namespace=device_id&value=M&min_confidence=1_0",
    b"namespace=device_id&value=" + b"M" * 600,
    b"namespace=" + b"M" * 5_000 + b"&value=x",
    b"namespace=device_id&value=M&%6eamespace=x",
    b"namespace=device_id;value=M",
    b"namespace[]=device_id&value=M",
    b"&&==&=&",
    b"M",
    b"%",
    b"value=M%20%26namespace%3Ddevice_id",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_an_odd_query_is_refused(port: int, watch: Watch, query: bytes) -> None:
    query = query.replace(b"M", watch.new().encode())
    for path in (b"/v1/profiles", b"/v1/profiles/prf_none"):
        status, answer = await wire(port, b"GET " + path + b"?" + query + b" HTTP/1.1", ADMIN)
        assert status in (400, 422), (query, answer)
        assert b"application/problem+json" in answer or (len(query) > 50_000 and UNPARSED.encode() in answer)
        assert not any(text.encode() in answer for text in watch.marks)


PATHS = [b"%00", b"%ff", b"%2e%2e%2f", b"a%0d%0ab", b"M" * 500, b"%F0%9F%92%A9", b"'", b"*", b"%25", b"a/"]


@pytest.mark.parametrize("path", PATHS)
async def test_an_odd_id_is_not_found(port: int, watch: Watch, path: bytes) -> None:
    path = path.replace(b"M", watch.new().encode())
    for before in (b"/v1/profiles/", b"/v1/links/", b"/v1/revocations/"):
        status, answer = await wire(port, b"GET " + before + path + b" HTTP/1.1", ADMIN)
        assert status in (400, 404, 422), (path, answer)
        assert b"application/problem+json" in answer and not any(text.encode() in answer for text in watch.marks)


async def test_what_is_hardly_http_is_refused_or_hung_up_on(port: int, watch: Watch) -> None:
    value = watch.new().encode()
    ok = json.dumps(link(fresh(), f"device_id:{watch.new()}")).encode()
    post, kind = b"POST /v1/links HTTP/1.1", b"content-type: application/json"
    tried = [
        await wire(port, b"GET /" + value + b" " + value + b" HTTP/1.1", ADMIN),
        await wire(port, b"GET /v1/profiles?value=" + value * 20_000 + b" HTTP/1.1", ADMIN),
        await wire(port, value + b" /v1/links HTTP/1.1", ADMIN),
        await wire(port, post, ADMIN, kind, b"content-length: -1", body=ok),
        await wire(port, post, ADMIN, kind, b"content-length: 99999999999999999999", body=ok),
        await wire(port, post, ADMIN, kind, b"content-length: 1e3", body=ok),
        await wire(port, post, ADMIN, kind, b"transfer-encoding: chunked", body=b"zz\r\n" + ok),
        await wire(port, post, ADMIN, kind, b"content-length: 5", b"content-length: 6", body=ok),
        await wire(port, post, ADMIN, kind, b"idempotency-key: " + b"\xff" * 9, b"content-length: 2", body=b"{}"),
    ]
    assert all(status == 0 or 400 <= status < 500 for status, _ in tried), [status for status, _ in tried]
    assert not any(text.encode() in answer for _, answer in tried for text in watch.marks)
    assert (await wire(port, b"GET /healthz HTTP/1.1"))[0] == 200
