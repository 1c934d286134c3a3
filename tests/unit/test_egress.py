"""Where deliveries may not go: names that lead to special addresses, addresses in odd forms, redirects, proxies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.delivery.addresses import may_reach
from service.delivery.egress import ANSWER_BYTES_MAX, Allowed, Egress, EgressRefused, NotSent, OutcomeUnknown

NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fec0::1",
    "100::1",
    "3fff::1",
    "5f00::1",
]
PRIVATE = (
    "127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.1.1 "
    "::1 fc00::1 fd12::1"
)
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_are_never_reached(address: str) -> None:
    assert not may_reach(address, private=False) and not may_reach(address, private=True)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses_are_reached_only_where_that_is_allowed(address: str) -> None:
    assert not may_reach(address, private=False) and may_reach(address, private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert may_reach(address, private=False)


@pytest.mark.parametrize("text", ["", "localhost", "0x7f.1", "2130706433", "127.1", "[::1]", "8.8.8.8 "])
def test_what_is_no_address_is_not_reached(text: str) -> None:
    assert not may_reach(text, private=True)


HOSTILE = [
    "http://api.example.com/x",
    "https://other.example.com/x",
    "https://api.example.com.evil.com/x",
    "https://api.example.com@evil.com/x",
    "https://user:pass@api.example.com/x",
    "https://evil.com#@api.example.com",
    "https://evil.com\\@api.example.com/x",
    "https://api.example.com\t.evil.com/",
    "https:///x",
    "https://api.example.com:0/x",
    "https://api.example.com:99999/x",
    "https://127.0.0.1/x",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://[::ffff:127.0.0.1]/x",
    "file:///etc/passwd",
    "gopher://api.example.com/x",
    "ftp://api.example.com/x",
    "//api.example.com/x",
    "",
    "https://\u0430pi.example.com/x",
]


@pytest.mark.parametrize("url", HOSTILE)
async def test_hostile_addresses_are_refused_before_a_name_is_looked_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> Any:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    egress = Egress(Allowed(frozenset({"api.example.com"})))
    with pytest.raises(EgressRefused):
        await egress.send("POST", url, {}, b"")
    await egress.close()


class Listener:
    """A receiver of raw bytes that answers with what it is told."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if self.answer:
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@pytest.fixture
async def listening(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Listener, int]]:
    """A listener on a port of its own; its answer is the parameter."""
    listener = Listener(request.param)
    server = await asyncio.start_server(listener.meet, "127.0.0.1", 0)
    async with server:
        yield listener, server.sockets[0].getsockname()[1]


MOVED = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n"
LOCAL = Allowed(frozenset({"127.0.0.1", "rebinds.example"}), private=True)


@pytest.mark.parametrize("listening", [MOVED], indirect=True)
async def test_a_redirect_is_an_answer_and_nothing_else(listening: tuple[Listener, int]) -> None:
    listener, port = listening
    egress = Egress(LOCAL)
    answer = await egress.send("POST", f"http://127.0.0.1:{port}/", {}, b"{}")
    assert answer.status == 302 and listener.connections == 1
    await egress.close()


@pytest.mark.parametrize("listening", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], indirect=True)
async def test_no_proxy_of_the_environment_is_used(
    listening: tuple[Listener, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, port = listening
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    egress = Egress(LOCAL)
    assert (await egress.send("POST", f"http://127.0.0.1:{port}/x?y=1", {"a": "b"}, b"")).body == b"ok"
    assert listener.requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    await egress.close()


@pytest.mark.parametrize("listening", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], indirect=True)
async def test_a_name_that_leads_somewhere_else_later_gets_no_byte(
    listening: tuple[Listener, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once, and what that gave is what is checked and connected to."""
    listener, port = listening
    answers = [["8.8.8.8", "127.0.0.1"], ["169.254.169.254"], ["::127.0.0.1"], ["127.0.0.1"]]
    looked_up: list[str] = []
    real = asyncio.get_running_loop().getaddrinfo

    async def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "rebinds.example":
            return await real(host, *rest, **more)
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers[len(looked_up) - 1]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup, raising=False)
    public = Egress(Allowed(frozenset({"rebinds.example"}), private=False))
    for _ in range(3):
        with pytest.raises(EgressRefused):
            await public.send("POST", f"https://rebinds.example:{port}/", {}, b"")
    assert listener.connections == 0 and len(looked_up) == 3
    local = Egress(LOCAL)
    assert (await local.send("POST", f"http://rebinds.example:{port}/", {}, b"")).status == 200
    assert len(looked_up) == 4
    await public.close()
    await local.close()


@pytest.mark.parametrize("listening", [b""], indirect=True)
async def test_no_answer_is_not_the_same_as_not_sent(listening: tuple[Listener, int]) -> None:
    _, port = listening
    egress = Egress(LOCAL)
    with pytest.raises(OutcomeUnknown):
        await egress.send("POST", f"http://127.0.0.1:{port}/", {}, b"")
    with pytest.raises(NotSent):
        await egress.send("POST", "http://127.0.0.1:1/", {}, b"")
    await egress.close()


@pytest.mark.parametrize(
    "listening", [b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 1_000_000], indirect=True
)
async def test_of_a_long_answer_only_the_beginning_is_read(listening: tuple[Listener, int]) -> None:
    _, port = listening
    egress = Egress(LOCAL)
    answer = await egress.send("POST", f"http://127.0.0.1:{port}/", {}, b"")
    assert answer.status == 200 and len(answer.body) <= ANSWER_BYTES_MAX
    await egress.close()
