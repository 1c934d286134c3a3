"""Every bound of the cache, named with its unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Bounds of the cache. Times in seconds unless the name says milliseconds."""

    connect_timeout_s: float = 0.5
    """From the start of a connection until its handshake is through."""

    op_timeout_s: float = 0.25
    """From sending a pipeline until its last reply. Past it the connection is given up."""

    late_loop_grace_s: float = 0.01
    """A deadline found passed is looked at once more after this time: a busy event loop is not a slow server."""

    drop_timeout_s: float = 1.5
    """A drop, its repeats and the wait for a server that is just restarting included."""

    drop_chunk_keys: int = 500
    """Keys in one UNLINK; each chunk is confirmed before the next is sent."""

    confirm_interval_s: float = 1.0
    """How often each connection makes sure that its server answers and is still the primary."""

    retry_delay_min_s: float = 0.02
    """First wait between attempts to connect; doubled each time, each wait shortened by up to a half at random."""

    retry_delay_max_s: float = 1.0
    """Longest wait between attempts to connect."""

    steady_after_s: float = 5.0
    """A connection that lived this long makes the next outage start with the shortest wait again."""

    batch_keys_max: int = 1_000
    """Distinct values asked for in one read round trip."""

    batches_under_way_max: int = 1
    """Read round trips in flight at once."""

    batches_waiting_max: int = 20
    """Full read batches waiting for their turn. Reads beyond them are answered DOWN at once."""

    lease_life_ms: int = 3_000
    """How long a lease keeps others from storing. It does not bound the reader: see `leases`."""

    value_life_ms: int = 24 * 60 * 60 * 1_000
    """Longest life of a hash in the cache."""

    value_bytes_max: int = 256 * 1_024
    """A longer value is not stored."""
