"""Puts together what stands before the routes: keys that change, shares, bounds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from starlette.types import ASGIApp

from service.api.auth import Keyring
from service.api.guard import Guard
from service.api.key_file import KeyFile
from service.cache.rates import Rates
from service.settings import Settings
from service.telemetry import METRICS


@contextlib.asynccontextmanager
async def guarding(
    settings: Settings, redis_url: str, keyring: Keyring, secret: bytes
) -> AsyncIterator[Callable[[ASGIApp], ASGIApp]]:
    """Gives what wraps the application. Raises StartRefused for a KEYS_FILE that can't be read."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.keys_file is not None:
            keys = KeyFile(settings.keys_file, keyring, secret)
            keys.start()
            stack.push_async_callback(keys.stop)
        METRICS.keys_last_used = lambda: keyring.last_used
        rates = Rates(redis_url)
        stack.push_async_callback(rates.close)
        yield partial(
            Guard,
            metrics=METRICS,
            requests_max=settings.requests_max,
            request_timeout_ms=settings.request_timeout_ms,
            known=keyring.known,
            rates=rates,
            rate=settings.rate_limit,
            unknown_per_minute=settings.unknown_per_minute,
        )
