"""The bounds that are settings, in the words of those who keep them."""

from __future__ import annotations

from service.cache.limits import CacheLimits
from service.commands.write_path import WriteLimits
from service.settings import Settings


def write_limits(settings: Settings) -> WriteLimits:
    """Of the write path."""
    return WriteLimits(queue_changes_max=settings.queue_changes_max, retry_budget_ms=settings.retry_budget_ms)


def cache_limits(settings: Settings) -> CacheLimits:
    """Of the cache."""
    return CacheLimits(op_timeout_s=settings.redis_timeout_ms / 1000, drop_timeout_s=settings.drop_timeout_ms / 1000)
