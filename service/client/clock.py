"""Time and chance of the client: the only module here that reads a clock or draws."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime


def new_id() -> str:
    """An id for an event."""
    return f"evt-{uuid.uuid4().hex}"


def now() -> str:
    """Now, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def monotonic_s() -> float:
    """Seconds that only grow."""
    return time.monotonic()


def share() -> float:
    """Something between a half and one, so that senders do not come back all at once."""
    return random.uniform(0.5, 1.0)
