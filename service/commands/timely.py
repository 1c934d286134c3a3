"""Reads that meet a due time first have what is due flipped, then read: no answer depends on when the sweep comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from service.commands.ports import Archive, Reader
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.profile import Profile

ApplyDue = Callable[[Sequence[IdentifierKey]], Awaitable[None]]


class Timely:
    """Profiles as they are, and as they were. `apply_due` returns when what is due around identifiers is flipped.

    Raises StoreUnavailable.
    """

    def __init__(self, reader: Reader, archive: Archive, apply_due: ApplyDue, now_ms: Callable[[], int]) -> None:
        self._reader = reader
        self._archive = archive
        self._apply_due = apply_due
        self._now_ms = now_ms

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one."""
        found = await self._reader.profiles(keys)
        if await self._flipped(found.values(), self._now_ms()):
            found = await self._reader.profiles(keys)
        return found

    async def profiles_by_id(self, ids: Sequence[ProfileId]) -> dict[ProfileId, Profile]:
        """The profile of today for each id ever handed out."""
        found = await self._reader.profiles_by_id(ids)
        if await self._flipped(found.values(), self._now_ms()):
            found = await self._reader.profiles_by_id(ids)
        return found

    async def profiles_at(self, keys: Sequence[IdentifierKey], at: int) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier as it was believed at a time (ms)."""
        found = await self._archive.profiles_at(keys, at)
        if await self._flipped(found.values(), at):
            found = await self._archive.profiles_at(keys, at)
        return found

    async def profile_at(self, profile_id: ProfileId, at: int) -> Profile | None:
        """The profile that an id led to at a time (ms); None for one that led nowhere then."""
        holder = await self._archive.holder(profile_id, at)
        return None if holder is None else (await self.profiles_at([holder], at)).get(holder)

    async def household(self, key: IdentifierKey) -> list[ProfileId] | None:
        """The profiles that a household groups now; None for one that is not known."""
        found = await self._archive.household(key)
        if found:
            ids = await self._reader.profiles_by_id(found)
            if await self._flipped(ids.values(), self._now_ms()):
                found = await self._archive.household(key)
        return found

    async def _flipped(self, profiles: Iterable[Profile], at: int) -> bool:
        """Have flipped what is due at a time (ms) around profiles; whether they have to be read again."""
        due = [profile.members[0].key for profile in profiles if profile.due is not None and profile.due <= at]
        if due:
            await self._apply_due(due)
        return bool(due)
