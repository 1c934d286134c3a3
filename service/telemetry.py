"""Logs and metrics.

Logs are JSON lines on stderr, ours and those of libraries alike. Values of persons stay out of them in three ways: ours
name no values; of a library's record only the template is written, never what it would be filled with; and whatever
passes is searched for keys and shapes that give a person away. Of an exception its type and the places in the code are
written, never its text or local values, since both may quote what a caller sent.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TextIO

import orjson
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

# ---- logs

REDACTED: Final = "[redacted]"
FRAMES_MAX: Final = 20
CAUSES_MAX: Final = 5
_NESTING_MAX: Final = 8

_PERSONAL_KEYS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        value values identifier identifiers asked key keys subject traits attributes properties
        email emails mail phone phones given_name family_name birth_date address street postcode ip
        path url query query_string params parameters body cookie
        authorization api_key idempotency_key token password secret
        """,
    )
)
# Ours, or checked where they enter; a trace id of 32 hexadecimal digits is no digest of a person.
_PLAIN_KEYS: Final = frozenset({"at", "level", "request_id", "route", "method", "caller", "logger"})
_EMAIL = re.compile(r"[^\s@\"'<>=:,;]+@[^\s@\"'<>,;]+")
_LONG_NUMBER = re.compile(r"(?<![\w.])\+?\d(?:[\s().-]?\d){8,}(?!\w)")
_DIGEST = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{32,128}(?![0-9A-Za-z])")


def redact_text(text: str) -> str:
    """The text without what looks like an e-mail address, a long number or a digest."""
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    return _DIGEST.sub("[digest]", _LONG_NUMBER.sub("[number]", text))


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor, the second line of defence: hides telling keys' values and telling shapes."""
    return {k: v if k in _PLAIN_KEYS and isinstance(v, str) else _redacted(str(k), v, 0) for k, v in event.items()}


def _redacted(key: str, value: object, depth: int) -> object:
    if key.lower() in _PERSONAL_KEYS and value is not None:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _NESTING_MAX:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(k): _redacted(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", v, depth + 1) for v in value]
    return f"[{type(value).__name__}]"


def places_of(exception: BaseException) -> list[str]:
    """Where an exception came from, cause by cause: its type, then `module:line function`, innermost last."""
    places: list[str] = []
    current: BaseException | None = exception
    for _ in range(CAUSES_MAX):
        if current is None:
            break
        places.append(f"{type(current).__module__}.{type(current).__qualname__}")
        frames: list[str] = []
        trace = current.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            module = trace.tb_frame.f_globals.get("__name__", "?")
            frames.append(f"  {module}:{trace.tb_lineno} {code.co_qualname}")
            trace = trace.tb_next
        places += frames[-FRAMES_MAX:]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return places


def exception_places(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: replaces `exc_info` by `exception`, the places it came from."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, tuple):
        info = info[1]
    if isinstance(info, BaseException):
        event["exception"] = places_of(info)
    return event


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {"at": event.pop("at", None), "level": event.pop("level", None), "event": event.pop("event", None)}
    line = first | dict(event)
    try:
        return orjson.dumps(line).decode()
    except TypeError:  # half a surrogate pair, or an integer beyond 64 bits
        return json.dumps(line, default=repr)


class _ForeignRecords(logging.Handler):
    """Writes records of standard logging through structlog: the first line of their template, without arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = str(record.msg).splitlines() or [""]
        structlog.get_logger().log(
            min(record.levelno // 10 * 10, logging.CRITICAL),
            lines[0][:300],
            logger=record.name,
            **({"exc_info": record.exc_info} if record.exc_info else {}),
        )


# Loggers whose records quote requests or queries, and the least that is taken of them.
_QUIET: Final = {
    "uvicorn.access": logging.CRITICAL + 1,
    "neo4j.notifications": logging.CRITICAL + 1,
    "neo4j": logging.ERROR,
    "redis": logging.ERROR,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


def configure_logs(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs as JSON lines to `stream` (stderr). `level` is a name of standard logging. May be called again."""
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            exception_places,
            redact,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_ForeignRecords()]
    root.setLevel(max(least, logging.INFO))
    logging.captureWarnings(True)
    for name in [*logging.root.manager.loggerDict, *_QUIET]:
        # Servers bring handlers of their own, which would print paths.
        found = logging.getLogger(name)
        if name.split(".")[0] in ("uvicorn", "neo4j", "redis", "asyncio", "fastapi"):
            found.handlers.clear()
            found.propagate = True
    for name, threshold in _QUIET.items():
        logging.getLogger(name).setLevel(threshold)


# ---- metrics

HTTP_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TURN_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


disable_created_metrics()  # type: ignore[no-untyped-call]


class _Series:
    """One method, route and status: how many requests, how long in all, how many in each bucket."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(HTTP_SECONDS) + 1)
        self.seconds = 0.0


class HttpTally:
    """Requests by method, route template and status. For the thread of the event loop only, so it needs no lock.

    `observe` costs a fifth of what a counter and a histogram of the metrics library cost, which matters on a path of
    30 µs in all.
    """

    SERIES_MAX: Final = 2000

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, int], _Series] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is a template, never a path."""
        key = (method, route, status)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self.SERIES_MAX:
                key = ("OTHER", "other", status)
            series = self._series.setdefault(key, _Series())
        series.seconds += seconds
        series.buckets[bisect_left(HTTP_SECONDS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at each scrape."""
        total = CounterMetricFamily("fabric_http_requests", "Requests answered.", labels=("method", "route", "status"))
        timed = HistogramMetricFamily("fabric_http_request_seconds", "Time to answer.", labels=("method", "route"))
        routes: dict[tuple[str, str], _Series] = {}
        for (method, route, status), series in list(self._series.items()):
            total.add_metric((method, route, str(status)), sum(series.buckets))
            whole = routes.setdefault((method, route), _Series())
            whole.seconds += series.seconds
            whole.buckets = [a + b for a, b in zip(whole.buckets, series.buckets, strict=True)]
        for labels, series in routes.items():
            running, buckets = 0, []
            for bound, count in zip((*map(str, HTTP_SECONDS), "+Inf"), series.buckets, strict=True):
                running += count
                buckets.append((bound, running))
            timed.add_metric(labels, buckets=buckets, sum_value=series.seconds)
        yield total
        yield timed


class _LastUsed:
    """When each caller was last let in, by its name, which reveals nothing of the key. `used`: name → ms."""

    def __init__(self, used: Callable[[], Mapping[str, int]]) -> None:
        self._used = used

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at each scrape."""
        family = GaugeMetricFamily("fabric_key_last_used_seconds", "When a key was last used.", labels=("caller",))
        for caller, at_ms in self._used().items():
            family.add_metric((caller,), at_ms / 1000)
        yield family


class Metrics:
    """Everything that is measured, named in one place. Times are seconds, sizes are counts."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        ProcessCollector(registry=r)
        self.http = HttpTally()
        r.register(self.http)
        self.keys_last_used: Callable[[], Mapping[str, int]] = dict
        r.register(_LastUsed(lambda: self.keys_last_used()))

        # Write path. `outcome`: committed, rolled_back, unknown. `lane`: revocation, decision, ordinary, background.
        self.turns = Counter("fabric_turns_total", "Write transactions.", ("outcome",), registry=r)
        self.turn_seconds = Histogram("fabric_turn_seconds", "Time of one turn.", buckets=TURN_SECONDS, registry=r)
        self.batch_size = Histogram("fabric_turn_batch_size", "Changes in one turn.", buckets=SIZES, registry=r)
        self.region_size = Histogram("fabric_turn_region_size", "Identifiers loaded.", buckets=SIZES, registry=r)
        self.failures = Counter("fabric_turn_failures_total", "Changes refused by an error.", ("code",), registry=r)
        self.queue_length = Gauge("fabric_queue_length", "Changes waiting for a turn.", ("lane",), registry=r)
        self.queue_age_seconds = Gauge("fabric_queue_age_seconds", "Age of the oldest one waiting.", registry=r)

        # `why`: requests (too many under way), queue (too many changes waiting), time, rate (of one key), unknown.
        self.refused = Counter("fabric_refused_total", "Requests refused to keep within bounds.", ("why",), registry=r)
        self.requests_under_way = Gauge("fabric_requests_under_way", "Requests being answered.", registry=r)

        # Read path: bound once, since a look-up can't afford to find its label each time.
        lookups = Counter("fabric_lookups_total", "Identifiers looked up.", ("cache",), registry=r)
        self.lookup_hit = lookups.labels("hit")
        self.lookup_miss = lookups.labels("miss")
        self.lookup_bypass = lookups.labels("bypass")

        self.lookups_unknown = Counter(
            "fabric_lookups_unknown_total", "Identifiers looked up that nobody knows.", ("caller",), registry=r
        )

        self.probe_compared = Counter(
            "fabric_probe_compared_total", "Cached answers held against the graph.", registry=r
        )
        self.probe_disagreements = Counter(
            "fabric_probe_disagreements_total", "Cached answers that are not what the graph says.", registry=r
        )

        # `result`: applied, duplicate, or the code of the error it was refused with.
        self.webhooks = Counter("fabric_webhooks_total", "Webhooks taken.", ("provider", "result"), registry=r)

        self.clock_off_seconds = Gauge(
            "fabric_clock_off_seconds", "What the own clock is behind the graph's.", registry=r
        )
        self.reviews_open = Gauge("fabric_reviews_open", "Links that wait for a steward.", registry=r)
        stream = ("source", "type")
        self.events = Counter("fabric_events_total", "Events by what became of them.", (*stream, "status"), registry=r)
        self.event_violations = Counter(
            "fabric_event_violations_total", "Quarantined events by what was wrong.", (*stream, "code"), registry=r
        )
        # `mark`: no_identifier, no_consent, late, skewed.
        self.event_marks = Counter(
            "fabric_event_marks_total", "Accepted events by mark.", (*stream, "mark"), registry=r
        )
        self.event_lag = Histogram(
            "fabric_event_lag_seconds",
            "From when an event occurred until it was received.",
            stream,
            registry=r,
            buckets=(1, 5, 30, 120, 600, 3_600, 21_600, 86_400),
        )
        self.recorded = Counter("fabric_events_archived_total", "Events moved into the record.", registry=r)
        self.record_lag = Gauge("fabric_record_lag_seconds", "Age of the oldest event not in the record.", registry=r)
        self.outbox_pending = Gauge("fabric_outbox_pending", "Outbox entries not yet through.", registry=r)
        store_up = Gauge("fabric_store_up", "1 while the store answers.", ("store",), registry=r)
        self.neo4j_up = store_up.labels("neo4j")
        self.redis_up = store_up.labels("redis")

    def render(self) -> bytes:
        """All metrics as Prometheus text, version 0.0.4."""
        return generate_latest(self.registry)


METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
METRICS: Final = Metrics()


def render_metrics() -> bytes:
    """The metrics of this process as Prometheus text."""
    return METRICS.render()
