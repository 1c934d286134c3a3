"""A TCP proxy between an instance and a store: it cuts, stalls and slows connections, and can change where it leads."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

_CHUNK_BYTES: Final = 65_536


class Proxy:
    """Listens on a port of its own and passes on to `target`.

    `cut()` ends all connections and refuses new ones, `stall()` keeps them and passes nothing on, `slow(s)` holds each
    piece back so long, `heal()` ends all that.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._refuses = False
        self._delay_s = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        self.drop()
        if self._lines:
            await asyncio.wait(set(self._lines))

    def drop(self) -> None:
        """End the connections of this moment; new ones are taken."""
        for line in list(self._lines):
            line.cancel()

    def cut(self) -> None:
        """No connection any more, until `heal`."""
        self._refuses = True
        self.drop()

    def stall(self) -> None:
        """Nothing gets through, and nobody is told, until `heal`."""
        self._flowing.clear()

    def slow(self, delay_s: float) -> None:
        """Every piece comes so much later, until `heal`."""
        self._delay_s = delay_s

    def heal(self) -> None:
        """As it should be."""
        self._refuses, self._delay_s = False, 0.0
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            if self._refuses:
                return
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._pass_on(reader, writer)
        finally:
            self._lines.discard(task)
            writer.transport.abort()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        ways = [
            asyncio.create_task(self._one_way(reader, far_writer)),
            asyncio.create_task(self._one_way(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()
            far_writer.close()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            writer.write(piece)
            await writer.drain()
