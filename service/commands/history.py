"""The history of a profile: every change of it, with who, why, before and after, read from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from service.commands.announce import Event, profiles_in
from service.commands.ports import Archive
from service.errors import UnknownProfile
from service.model.changes import Grouping
from service.model.identifiers import IdentifierKey, ProfileId


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One change. `at` in ms; `before` and `after` hold the profiles that it was about."""

    at: int
    actor: str
    action: str
    reason: str
    types: tuple[str, ...]
    before: tuple[Grouping, ...]
    after: tuple[Grouping, ...]


def _changes(profile_id: ProfileId, events: Iterable[Event]) -> dict[int, list[Event]]:
    """The events of one turn that speak of the profile, by the time of their change, newest first."""
    found: dict[int, list[Event]] = {}
    for event in events:
        if profile_id in profiles_in(event):
            found.setdefault(int(str(event["at"])), []).append(event)
    return dict(sorted(found.items(), reverse=True))


async def history(
    records: Archive, profile_id: ProfileId, limit: int, before_seq: int
) -> tuple[list[HistoryItem], int | None]:
    """Changes of a profile, newest first, and where the next page begins (None: at the end).

    A page holds whole turns: at least one, and no more than it takes to reach `limit` items. Raises UnknownProfile.
    """
    if await records.holder(profile_id) is None:
        raise UnknownProfile()
    turns = await records.turns_of(profile_id, before_seq, limit)
    changes: list[tuple[int, list[Event]]] = []
    following: int | None = None
    for seq, events in turns:
        if len(changes) >= limit:
            break
        changes += _changes(profile_id, events).items()
        following = seq
    moments = {
        (ProfileId(shown), moment)
        for at, events in changes
        for event in events
        for shown in profiles_in(event)
        for moment in (at - 1, at)
    }
    members = await records.members_at(sorted(moments))
    items = [_item(at, events, members) for at, events in changes]
    return items, following if len(turns) == limit or len(changes) >= limit else None


def _item(at: int, events: list[Event], members: dict[tuple[ProfileId, int], list[IdentifierKey]]) -> HistoryItem:
    shown = sorted({ProfileId(profile_id) for event in events for profile_id in profiles_in(event)})

    def grouped(moment: int) -> tuple[Grouping, ...]:
        return tuple(Grouping(p, tuple(members[p, moment])) for p in shown if members.get((p, moment)))

    cause = events[0].get("cause")
    told = cause if isinstance(cause, dict) else {}
    return HistoryItem(
        at,
        str(told.get("actor", "")),
        str(told.get("action", "")),
        str(told.get("reason", "")),
        tuple(dict.fromkeys(str(event["type"]) for event in events)),
        grouped(at - 1),
        grouped(at),
    )
