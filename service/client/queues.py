"""Where events wait until the service has them: in memory, or in files that outlive the process.

A queue hands out its oldest entries and forgets them once that is confirmed, so a crash between the two sends them
again, under the ids that they have. Calls may come from several threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing keeps a second process off the folder
    fcntl = None  # type: ignore[assignment]

EVENTS_MAX: Final = 100_000
SPOOL_BYTES_MAX: Final = 1 << 30
_SEGMENT_BYTES: Final = 8 << 20


class QueueFull(Exception):
    """As many events wait as may."""


class Queue(Protocol):
    """What a client asks of a queue. An entry is one event as JSON bytes, on one line."""

    def put(self, entries: list[bytes]) -> None:
        """Keep them. Raises QueueFull, and OSError where they can't be written."""

    def oldest(self, count: int) -> list[bytes]:
        """The oldest entries, at most so many; they stay."""

    def forget(self, count: int) -> None:
        """The oldest so many are through."""

    def set_aside(self, count: int, why: str) -> None:
        """The oldest so many can't be sent, and make room. A spool keeps them in a file of their own."""

    def __len__(self) -> int: ...

    def close(self) -> None:
        """No more is asked."""


class MemoryQueue:
    """Entries in memory: gone with the process."""

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self._entries: deque[bytes] = deque()
        self._max = events_max
        self._lock = threading.Lock()
        self.aside: list[tuple[bytes, str]] = []

    def put(self, entries: list[bytes]) -> None:
        with self._lock:
            if len(self._entries) + len(entries) > self._max:
                raise QueueFull
            self._entries.extend(entries)

    def oldest(self, count: int) -> list[bytes]:
        with self._lock:
            return list(islice(self._entries, count))

    def forget(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._entries.popleft()

    def set_aside(self, count: int, why: str) -> None:
        with self._lock:
            self.aside += [(self._entries.popleft(), why) for _ in range(count)]

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def close(self) -> None:
        return


class SpoolQueue:
    """Entries in a folder that one process has to itself: numbered files of lines, and how far the oldest is through.

    What `put` returned for is on the disk (`sync=False`: with the operating system, which survives a crash of the
    process but not of the machine). Raises BlockingIOError for a folder that another process has.
    """

    def __init__(self, folder: str | os.PathLike[str], bytes_max: int = SPOOL_BYTES_MAX, *, sync: bool = True) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._guard = (self._folder / "lock").open("a")
        if fcntl is not None:
            try:
                fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._guard.close()
                raise
        self._sync = sync
        self._max = bytes_max
        self._numbers = sorted(int(path.stem) for path in self._folder.glob("*.events"))
        self._through = self._read_through()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._last: Any = None
        self._sizes: dict[int, int] = {}
        for number in self._numbers:
            self._load(number)
        self._roll()

    # ---- the queue

    def put(self, entries: list[bytes]) -> None:
        lines = b"".join(entry + b"\n" for entry in entries)
        with self._lock:
            if self._bytes + len(lines) > self._max:
                raise QueueFull
            self._last.write(lines)
            self._last.flush()
            if self._sync:
                os.fsync(self._last.fileno())
            self._waiting.extend(entries)
            self._bytes += len(lines)
            self._sizes[self._numbers[-1]] += len(entries)
            if self._last.tell() > _SEGMENT_BYTES:
                self._roll()

    def oldest(self, count: int) -> list[bytes]:
        with self._lock:
            return list(islice(self._waiting, count))

    def forget(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._bytes -= len(self._waiting.popleft()) + 1
            self._advance(count)

    def set_aside(self, count: int, why: str) -> None:
        with self._lock:
            entries = list(islice(self._waiting, count))
        with (self._folder / "refused.jsonl").open("ab") as file:
            for entry in entries:
                file.write(b'{"why":"' + why.encode("ascii", "replace") + b'","event":' + entry + b"}\n")
            file.flush()
            os.fsync(file.fileno())
        self.forget(count)

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def close(self) -> None:
        with self._lock:
            self._last.close()
            self._guard.close()

    # ---- the files

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.events"

    def _read_through(self) -> int:
        """How many lines of the oldest file are through."""
        try:
            number, _, lines = (self._folder / "through").read_text().partition(" ")
            return int(lines) if self._numbers and int(number) == self._numbers[0] else 0
        except (OSError, ValueError):
            return 0

    def _load(self, number: int) -> None:
        """Take in what a file has; a line that a crash cut off was never confirmed to anybody, and is dropped."""
        lines = self._path(number).read_bytes().split(b"\n")[:-1]
        skip = self._through if number == self._numbers[0] else 0
        self._sizes[number] = len(lines)
        self._waiting.extend(lines[skip:])
        self._bytes += sum(len(line) + 1 for line in lines[skip:])

    def _roll(self) -> None:
        """Write on in a new file."""
        if self._last is not None:
            self._last.close()
        number = self._numbers[-1] + 1 if self._numbers else 1
        self._last = self._path(number).open("ab")
        self._numbers.append(number)
        self._sizes[number] = 0
        self._advance(0)

    def _advance(self, count: int) -> None:
        """Note that so many more lines are through; files that are through go."""
        self._through += count
        while len(self._numbers) > 1 and self._through >= self._sizes[self._numbers[0]]:
            first = self._numbers.pop(0)
            self._through -= self._sizes.pop(first)
            self._path(first).unlink(missing_ok=True)
        draft = self._folder / "through.part"
        draft.write_text(f"{self._numbers[0]} {self._through}")
        draft.replace(self._folder / "through")


def queue_of(queue: Queue | None, spool: str | os.PathLike[str] | None) -> Queue:
    """The queue that a client was given, else one in a folder, else one in memory."""
    if queue is not None:
        return queue
    return SpoolQueue(spool) if spool is not None else MemoryQueue()
