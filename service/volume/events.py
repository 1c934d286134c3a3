"""`python -m service import FILE --kind events`: CloudEvents from a file of lines, taken as if they were sent.

Each line is one event, `time` as old as it is. What is wrong goes into quarantine like any other; the same file again
makes duplicates, so an import that was interrupted is simply begun anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from service.commands.write_path import WritePath
from service.errors import FabricError, NotNow, StartRefused
from service.model.changes import Origin
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent

ACTOR: Final = "service:import"
BATCH_EVENTS: Final = 1_000
LINE_BYTES_MAX: Final = 1 << 20
Item = RecordEvent | QuarantineEvent


@dataclass(frozen=True, slots=True)
class EventMeans:
    """What an import of events works with. `read`: events as sent to the changes that they ask for; `read_json`: one
    line, raises FabricError.
    """

    write_path: WritePath
    read: Callable[[Sequence[Any]], Awaitable[list[Item]]]
    read_json: Callable[[bytes], object]


async def import_events(file: Path, means: EventMeans, say: Callable[[str], None]) -> Counter[str]:
    """Take a file in; returns how many events became what. Raises StartRefused in one line."""
    counts: Counter[str] = Counter()
    try:
        with file.open("rb") as lines:
            while batch := list(islice(_events(lines, means, counts), BATCH_EVENTS)):
                changes = await means.read(batch)
                answered = await means.write_path.submit(changes, Origin(ACTOR), lambda _: (200, b""))
                for outcome in answered.outcomes:
                    counts[outcome.status if isinstance(outcome, EventReceipt) else "failed"] += 1
    except OSError as error:
        raise StartRefused(f"{file} can't be read: {error.strerror}") from None
    except NotNow as error:
        raise StartRefused(f"{error.detail} What is through stays; begin anew, and it is passed over.") from None
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    say(f"{file.name}: {sum(counts.values()):,} events: {told or 'nothing'}")
    return counts


def _events(lines: Any, means: EventMeans, counts: Counter[str]) -> Iterator[object]:
    """The events of the lines; a line that is no JSON is counted and passed over."""
    while line := lines.readline(LINE_BYTES_MAX):
        if not line.strip():
            continue
        try:
            yield means.read_json(line)
        except FabricError:
            counts["unreadable"] += 1
