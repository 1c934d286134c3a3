"""Sends canonical events to Identity Fabric, so that none is lost on the way.

    from identity_fabric.client import EventClient, Identifier, event

    with EventClient("https://fabric.example", key, source="shop", spool="spool") as client:
        client.send(event("page_view", [Identifier("cookie_id", "c-1")], {"url": "https://shop.example/shoes"}))

An event gets its id and time when it is made and keeps them however often it is sent: the service counts it once. With
a spool it is on the disk before `send` returns, and a process that starts again sends what the last one could not.
Needs nothing but httpx. In a clone of the service the package is `service.client`.
"""

from .async_client import AsyncEventClient
from .events import (
    Event,
    Identifier,
    event,
    plain,
)
from .queues import MemoryQueue, Queue, QueueFull, SpoolQueue
from .sending import Counts, Refused, Result
from .sync_client import EventClient

__all__ = [
    "AsyncEventClient",
    "Counts",
    "Event",
    "EventClient",
    "Identifier",
    "MemoryQueue",
    "Queue",
    "QueueFull",
    "Refused",
    "Result",
    "SpoolQueue",
    "event",
    "plain",
]
