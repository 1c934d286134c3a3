"""Writes acts on the record of events down through the write path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from service.commands.write_path import WritePath
from service.errors import FabricError
from service.model.changes import Origin
from service.model.record_acts import NoteAct

Note = Callable[[str, str, str], Awaitable[None]]
"""`note(actor, action, outcome)`. Raises FabricError."""


def noting_on(write_path: WritePath) -> Note:
    """Notes acts through the write path."""

    async def note(actor: str, action: str, outcome: str) -> None:
        answered = await write_path.submit([NoteAct(action, outcome)], Origin(actor), lambda _: (200, b""))
        for result in answered.outcomes:
            if isinstance(result, FabricError):
                raise result

    return note
