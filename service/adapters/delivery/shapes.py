"""What an adapter is given and what it gives. No I/O, no rule, no secret.

An adapter builds requests from items that were decided on, and says what an answer means for each of them. Where a
secret belongs in a request is said by `Request.auth`; whoever sends puts it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from service.model.delivery import Result as Result

API: Final = 1
"""Version of this protocol; an adapter names the one that it was written for as `api`."""


@dataclass(frozen=True, slots=True)
class Dedup:
    """What the receiver knows a thing sent twice by, and for how long (ISO 8601 duration; None: for ever)."""

    key: str
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a receiver can and cannot do; the core keeps to it.

    `max_age`: older events are not taken (ISO 8601 duration). `batch`: items in one request at most. `ordered`: items
    of one person must arrive in order. `removal`: how somebody is taken out again, None: not at all. `replay`: whether
    sending old events again is harmless, counts them twice, or they are refused. `hosts`: the receiver's own.
    """

    adapter: str
    version: str
    batch: int
    dedup: Dedup | None = None
    max_age: str | None = None
    ordered: bool = False
    removal: str | None = None
    replay: Literal["safe", "deduplicated", "counted_twice", "refused"] = "counted_twice"
    hosts: tuple[str, ...] = ()
    verified: bool = True

    def as_json(self) -> dict[str, Any]:
        """As it is shown; what does not exist is null."""
        dedup = None if self.dedup is None else {"key": self.dedup.key, "window": self.dedup.window}
        return {
            "dedup": dedup,
            "max_age": self.max_age,
            "batch": self.batch,
            "ordered": self.ordered,
            "removal": self.removal,
            "replay": self.replay,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier that the decision gives. `forms`: digests of other normal forms, by their names."""

    namespace: str
    value: str
    forms: Mapping[str, str] = field(default_factory=dict)

    def form(self, name: str) -> str:
        """The digest of a normal form where it was kept, else the value itself."""
        return self.forms.get(name, self.value)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be told: an event and what the decision gives of the person. `event_time`: ms.

    `action`: `send` an event, or `remove` the person. `profile_id`: only where the decision gives it.
    """

    delivery_id: str
    action: Literal["send", "remove"]
    event_source: str
    event_id: str
    event_type: str
    event_time: int
    properties: Mapping[str, Any]
    names: tuple[Name, ...]
    profile_id: str | None = None
    granularity: str = "person"
    traits: Mapping[str, Any] = field(default_factory=dict)
    audiences: tuple[str, ...] = ()

    def named(self, namespace: str) -> Name | None:
        """The first identifier of a namespace."""
        return next((name for name in self.names if name.namespace == namespace), None)


Auth = Literal["none", "bearer", "query:api_secret", "standard_webhooks"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `items`: which of the items it carries, in the order of the receiver's own counting.

    `fields`: for each of them the names of what is sent. `message_id`: stable, for signed webhooks.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    items: tuple[int, ...]
    fields: tuple[tuple[str, ...], ...]
    auth: Auth = "none"
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Rows for a table instead of a request. `keys`: what a row is known by; `removes`: rows to be taken out."""

    uri: str
    rows: tuple[Mapping[str, Any], ...]
    items: tuple[int, ...]
    fields: tuple[tuple[str, ...], ...]
    removes: bool = False

    @property
    def url(self) -> str:
        """Where it goes."""
        return self.uri


@dataclass(frozen=True, slots=True)
class Built:
    """What is to be sent, and why items are not: index → reason."""

    requests: tuple[Request | TableWrite, ...]
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What an answer means for one item. `retry_after_s`: as the receiver asked for, None: it did not."""

    result: Result
    reason: str | None = None
    retry_after_s: float | None = None


@runtime_checkable
class Adapter(Protocol):
    """Two pure functions and a manifest."""

    api: int
    manifest: Manifest

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Pointers into the settings and what is wrong there, such as `("/dataset", "is needed")`."""

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Name of the setting → the address that requests go to because of it; `""` for the receiver's own."""

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """Requests for items that were decided on; at most `manifest.batch` of them."""

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """What an answer means, for each item of the request in its order."""
