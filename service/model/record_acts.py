"""What is done to the record of events, so that it is accounted for. Changes no evidence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoteAct:
    """Write down an act. `action`: its name in the audit; `outcome`: what came of it, without personal values."""

    action: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ActReceipt:
    """It is written down."""
