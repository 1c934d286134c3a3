"""Acts on the record of events are written down in the audit: retention, replays."""

from __future__ import annotations

from service.commands.steps import SETTLE, Step
from service.model.record_acts import ActReceipt, NoteAct


def note_act(_change: NoteAct) -> Step:
    """Changes nothing: it is there to be recorded."""
    yield SETTLE
    return ActReceipt()
