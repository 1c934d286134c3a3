"""What a settlement means to those who follow the change feed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from service.commands.steps import Settlement
from service.model.identifiers import IdentifierKey, ProfileId

Event = dict[str, object]
ASSERTION = "assertion"
"""A steward's act, for the history of the profiles it is about; the feed does not show it."""


def profiles_in(event: Event) -> set[str]:
    """Every profile that an event speaks of."""
    found: set[str] = set()
    for name in ("profile_id", "from", "to", "into", "profiles"):
        value = event.get(name)
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, list):
            found.update(value)
    return found


def _moved(source: ProfileId | None, target: ProfileId | None, keys: Iterable[IdentifierKey]) -> Event:
    return {
        "type": "identifiers.moved",
        "profile_id": target if target is not None else source,
        "from": source,
        "to": target,
        "identifiers": sorted(keys),
    }


def _of_gone(gone: ProfileId, targets: Mapping[ProfileId | None, list[IdentifierKey]]) -> list[Event]:
    """An id that is shown no more: merged into where most of its identifiers went; the others moved."""
    if not targets:
        return []
    into = max(targets, key=lambda target: (len(targets[target]), target or ""))
    rest = [_moved(gone, target, keys) for target, keys in sorted(targets.items(), key=str) if target != into]
    return [{"type": "profile.merged", "profile_id": gone, "into": into}, *rest]


def _of_kept(
    kept: ProfileId, targets: Mapping[ProfileId | None, list[IdentifierKey]], known: Mapping[ProfileId, object]
) -> list[Event]:
    """An id that stays and has lost identifiers: to profiles that were there they moved, to new ones it was split."""
    new = [target for target in targets if target is not None and target not in known]
    events = [_moved(kept, target, keys) for target, keys in sorted(targets.items(), key=str)]
    if new:
        events.append({"type": "profile.split", "profile_id": kept, "into": sorted(new)})
    return events


def events_of(settled: Settlement) -> list[Event]:
    """The feed's entries for one settlement, without sequence numbers: created, merged, split, moved."""
    moves: dict[ProfileId | None, dict[ProfileId | None, list[IdentifierKey]]] = {}
    for move in settled.moves:
        moves.setdefault(move.source, {}).setdefault(move.target, []).append(move.key)
    events: list[Event] = []
    joined = moves.pop(None, {})
    events += [
        {"type": "profile.created", "profile_id": profile_id, "identifiers": joined.pop(profile_id, [])}
        for profile_id in sorted(settled.after.keys() - settled.before.keys())
    ]
    events += [_moved(None, target, keys) for target, keys in sorted(joined.items(), key=str)]
    for source, targets in sorted(moves.items(), key=str):
        assert source is not None
        if source in settled.after:
            events += _of_kept(source, targets, settled.before)
        else:
            events += _of_gone(source, targets)
    return events
