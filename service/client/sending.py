"""What an answer of the service means for a batch, and how long to wait for the next try. No I/O, no clock."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

log = logging.getLogger("identity_fabric.client")
BATCH_EVENTS_MAX: Final = 1_000
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_TOO_MUCH: Final = 413


class Refused(Exception):
    """The service refuses this sender: a key that is not known, a role that is missing. Events stay where they wait."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"The service refuses events of this sender: {status} {code}.")
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event: `accepted`, `duplicate` or `quarantined`; the last is kept by the service, with the
    errors told here, each a pointer and a message.
    """

    id: str
    status: str
    profile_id: str | None = None
    quarantine_id: str | None = None
    errors: tuple[Mapping[str, Any], ...] = ()


OnResult = Callable[[Result], None]


class Taken(NamedTuple):
    """The service has the batch."""

    results: tuple[Result, ...]


class Later(NamedTuple):
    """Try again, not before so many seconds."""

    seconds: float


class Smaller(NamedTuple):
    """The batch is not taken as a whole: try it in halves; one alone is to be set aside, for this reason."""

    why: str


Meaning = Taken | Later | Smaller


@dataclass(slots=True)
class Counts:
    """What a client sent: results by status, tries that failed, and events that were set aside."""

    by_status: Counter[str] = field(default_factory=Counter)
    failed_tries: int = 0
    set_aside: int = 0

    def note(self, results: Sequence[Result]) -> None:
        """Count results."""
        self.by_status.update(result.status for result in results)


def encode(event: Mapping[str, Any], source: str) -> bytes:
    """An event as it waits and as it is sent. Raises ValueError or TypeError for what is no JSON."""
    whole = dict(event)
    whole.setdefault("source", source)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def body_of(entries: Sequence[bytes]) -> bytes:
    """A batch as it is posted."""
    return b'{"events":[' + b",".join(entries) + b"]}"


def meaning_of(status: int, headers: Mapping[str, str], body: bytes, sent: int, tries: int) -> Meaning:
    """What an answer to `sent` events means, after so many tries that failed. Raises Refused."""
    if status == 200:
        results = _results(body)
        return Taken(results) if len(results) == sent else Later(wait_s(tries))
    if status in (401, 403):
        raise Refused(status, _code(body))
    if status in _TRY_AGAIN or status >= 500:
        return Later(max(_retry_after(headers), wait_s(tries)))
    if status == _TOO_MUCH or 400 <= status < 500:
        return Smaller(f"{status} {_code(body)}")
    return Later(wait_s(tries))


def wait_s(tries: int) -> float:
    """Before the next try after so many that failed: twice as long each time, up to a minute."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(tries, 16)))


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _results(body: bytes) -> tuple[Result, ...]:
    try:
        items = json.loads(body)["results"]
        return tuple(
            Result(
                str(item["id"]),
                item["status"],
                item.get("profile_id"),
                item.get("quarantine_id"),
                tuple(item.get("errors") or ()),
            )
            for item in items
        )
    except (ValueError, KeyError, TypeError):
        return ()


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def tell(on_result: OnResult | None, results: Sequence[Result]) -> None:
    """Tell a caller what became of its events; what it raises is logged and ends nothing."""
    if on_result is None:
        return
    for result in results:
        try:
            on_result(result)
        except Exception:
            log.exception("on_result failed")
