"""One connection to Redis: pipelines out, replies back in the order of the requests.

A lane knows nothing of callers. Each pipeline goes with the number of replies it must bring and a function that gets
them all, or None if they will never come. Nothing else reads from the connection, so a caller that gives up leaves no
reply behind for another: the lane still takes it from the wire and hands it to a function that finds nobody waiting.
Whatever makes the order doubtful (a deadline passed, a reply that nobody asked for, bytes that are no reply) closes
the connection for good, and every pipeline under way gets its None.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

Reply = bytes | int | list[Any] | hiredis.ReplyError | None
Settle = Callable[[list[Reply] | None], None]

_INCOMPLETE: Final = object()


def packed(*parts: str | int | bytes) -> bytes:
    """One command in Redis's wire format."""
    return cast(bytes, hiredis.pack_command(parts))  # type: ignore[arg-type]  # its stub says a tuple of one


class LaneLost(Exception):
    """The connection ended before all replies were there. What the server carried out is unknown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Exchange:
    """A pipeline under way."""

    __slots__ = ("awaited", "deadline", "replies", "settle")

    def __init__(self, awaited: int, settle: Settle, deadline: float) -> None:
        self.awaited = awaited
        self.settle = settle
        self.deadline = deadline
        self.replies: list[Reply] = []


class Lane(asyncio.Protocol):
    """One connection. `lost_reason` is None as long as it can be used."""

    def __init__(self, loop: asyncio.AbstractEventLoop, op_timeout_s: float, late_loop_grace_s: float) -> None:
        self.lost_reason: str | None = None
        self.timed_out = False
        self.on_lost: Callable[[Lane], None] | None = None
        self._loop = loop
        self._op_timeout_s = op_timeout_s
        self._late_loop_grace_s = late_loop_grace_s
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._under_way: deque[_Exchange] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._suspect: _Exchange | None = None

    def send(self, pipeline: bytes, awaited: int, settle: Settle, timeout_s: float | None = None) -> None:
        """Sends a pipeline of `awaited` commands; `settle` is called exactly once, at once if the lane is lost."""
        transport = self._transport
        if transport is None or self.lost_reason is not None:
            settle(None)
            return
        deadline = self._loop.time() + (self._op_timeout_s if timeout_s is None else timeout_s)
        self._under_way.append(_Exchange(awaited, settle, deadline))
        if self._timer is None or self._timer_at > deadline:
            self._look_again_at(deadline)
        transport.write(pipeline)

    async def ask(self, pipeline: bytes, awaited: int, timeout_s: float | None = None) -> list[Reply]:
        """Sends a pipeline and waits for its replies; server errors are among them as values. Raises LaneLost."""
        future: asyncio.Future[list[Reply] | None] = self._loop.create_future()

        def settle(replies: list[Reply] | None) -> None:
            if not future.done():
                future.set_result(replies)

        self.send(pipeline, awaited, settle, timeout_s)
        replies = await future
        if replies is None:
            raise LaneLost(self.lost_reason or "not connected")
        return replies

    def close(self, reason: str) -> None:
        """Ends the connection at once; every pipeline under way gets None."""
        if self.lost_reason is not None:
            return
        self.lost_reason = reason
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        if self.on_lost is not None:
            self.on_lost(self)
        while self._under_way:
            self._under_way.popleft().settle(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        if self.lost_reason is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.close("connection lost" if exc is None else f"connection lost: {type(exc).__name__}")

    def eof_received(self) -> None:
        """Called by the event loop: the server closed its side. Known at once, not only when the transport is done."""
        self.close("closed by the server")

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self.lost_reason is not None:
            return
        reader = self._reader
        under_way = self._under_way
        try:
            reader.feed(data)
            reply = reader.gets()
            while reply is not _INCOMPLETE:
                if not under_way:
                    self.close("reply without a request")
                    return
                exchange = under_way[0]
                exchange.replies.append(reply)
                if len(exchange.replies) == exchange.awaited:
                    under_way.popleft()
                    exchange.settle(exchange.replies)
                    if self._is_lost():  # settling may have closed the lane
                        return
                reply = reader.gets()
        except hiredis.ProtocolError:
            self.close("not a Redis reply")

    def _is_lost(self) -> bool:
        return self.lost_reason is not None

    def _look_at_deadline(self) -> None:
        """One timer serves all pipelines: replies come in order, so the oldest is the first to be late."""
        self._timer = None
        if not self._under_way:
            return
        oldest = self._under_way[0]
        now = self._loop.time()
        if oldest.deadline > now:
            self._look_again_at(oldest.deadline)
        elif self._suspect is oldest:
            self.timed_out = True
            self.close("server did not answer in time")
        else:
            self._suspect = oldest
            self._look_again_at(now + self._late_loop_grace_s)

    def _look_again_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look_at_deadline)
