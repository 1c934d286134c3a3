"""The state and the counts of the cache, and its one error."""

from dataclasses import dataclass

from service.errors import StoreUnavailable


class CacheUnavailable(StoreUnavailable):
    """A drop could not be confirmed: whether the old values are gone is unknown."""

    says = "The cache can't be reached."


@dataclass(frozen=True, slots=True)
class CacheState:
    """Whether the cache answers, since when (ms since epoch) and, when down, why (never a value or a secret)."""

    up: bool
    since_ms: int
    reason: str


@dataclass(slots=True)
class CacheCounters:
    """Counts since the start, for the metrics."""

    hits: int = 0
    misses: int = 0
    bypasses: int = 0
    read_batches: int = 0
    leases: int = 0
    lease_refusals: int = 0
    fills: int = 0
    fill_refusals: int = 0
    keys_dropped: int = 0
    drop_repeats: int = 0
    drop_failures: int = 0
    connects: int = 0
    connect_failures: int = 0
    timeouts: int = 0
    server_errors: int = 0
