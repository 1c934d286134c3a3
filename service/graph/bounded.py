"""Waits that end: a server that ends what takes too long can't say so over a line on which nothing comes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import StoreUnavailable

GRACE_S = 2.0
"""How much longer than the server's own limit is waited for its word."""


@asynccontextmanager
async def bounded(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Ends what is inside, and closes its connection, a little after the server should have. Raises StoreUnavailable.

    Gives the deadline: who is about to commit takes it away (`reschedule(None)`), since a commit that is cut off is not
    one that did not happen.
    """
    try:
        async with asyncio.timeout(seconds + GRACE_S) as deadline:
            yield deadline
    except TimeoutError as error:
        raise StoreUnavailable("The graph does not answer.") from error
