"""Requests of persons about their own data: what is known of an identifier, told, and that it was told is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from service.commands.ports import Archive
from service.commands.steps import SETTLE, Step
from service.commands.timely import Timely
from service.commands.world import Wanted, World
from service.control.answer import name_of
from service.model.changes import Disclose, DiscloseReceipt
from service.model.identifiers import IdentifierKey
from service.model.times import rfc3339

RequestKind = Literal["erasure", "access", "portability"]
LINKS_MAX = 10_000
JSON = dict[str, object]


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """A request as it is kept. Times in ms; `completed_at` None: it is still under way. `identifiers`: none of those of
    somebody erased.
    """

    request_id: str
    kind: RequestKind
    regulation: str
    fingerprint: str
    submitted_at: int
    received_at: int
    completed_at: int | None = None
    identifiers: tuple[IdentifierKey, ...] = ()


class SubjectRequests(Protocol):
    """Where they are kept. Raises StoreUnavailable."""

    async def keep(self, request: SubjectRequest) -> SubjectRequest:
        """Keep it, once; answers the one that is kept under its id."""

    async def complete(self, request_id: str, at: int) -> None:
        """Note that it is done."""

    async def find(self, request_id: str) -> SubjectRequest | None:
        """The request of an id."""


def wanted_by_disclosure(change: Disclose) -> Wanted:
    """The identifier."""
    return Wanted(identifiers={change.identifier})


def disclose(world: World, change: Disclose) -> Step:
    """Changes nothing: it is there to be recorded."""
    yield SETTLE
    return DiscloseReceipt(world.state(change.identifier).profile)


async def known_of(key: IdentifierKey, timely: Timely, archive: Archive) -> JSON | None:
    """What is known of an identifier, None of one that is not known: what was said of it, and of the profile the rest.

    What others said of their own (consents, links) is theirs.
    """
    profile = (await timely.profiles([key])).get(key)
    consents = await archive.consents_of(key)
    if profile is None and not consents:
        return None
    links = [] if profile is None else await archive.links_at([key], LINKS_MAX)
    own = next((member for member in profile.members if member.key == key), None) if profile is not None else None
    return {
        "identifier": name_of(key),
        "first_seen": None if own is None else rfc3339(own.first_seen),
        "last_seen": None if own is None else rfc3339(own.last_seen),
        "sources": [] if own is None else list(own.sources),
        "profile_id": None if profile is None else profile.profile_id,
        "profile": [] if profile is None else [name_of(member.key) for member in profile.members],
        "households": [] if profile is None else [name_of(household) for household in profile.households],
        "traits": [] if own is None else [t._asdict() | {"at": rfc3339(t.at)} for t in own.traits],
        "consents": [
            {
                "purpose": record.purpose,
                "state": record.state,
                "regulation": record.regulation or None,
                "source": record.source,
                "at": rfc3339(record.at),
            }
            for record in consents
        ],
        "links": [
            {
                "to": name_of(kept.other) if kept.other is not None else None,
                "source": kept.link.source,
                "rule": kept.link.rule,
                "confidence": kept.link.confidence,
                "observed_at": rfc3339(kept.link.observed_at),
                "status": kept.link.inactive or kept.withheld or "linked",
            }
            for kept in links
        ],
    }
