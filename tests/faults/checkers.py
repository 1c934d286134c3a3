"""What must hold of a history. Pure functions: each gives the violations that it finds, none where all is well.

Every register has one writer, who goes on only once a change is acknowledged (or stops for good). So at any moment the
changes that may count are the last one acknowledged and the one under way; whatever else a read shows is stale, lost,
or was never said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.history import History, Read, Tried, Value, Write


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. `kind` is the name of the law, `what` says where; no values of persons are real."""

    kind: str
    what: str


def _by_register(writes: Iterable[Write]) -> dict[str, list[Write]]:
    found: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        found[write.register].append(write)
    for some in found.values():
        some.sort(key=lambda write: write.begin)
    return found


def may_show(writes: Sequence[Write], begin: float, end: float) -> list[Value]:
    """What a read from `begin` to `end` may show, of one register's writes in their order."""
    first = 0
    for number, write in enumerate(writes):
        if write.end <= begin:
            first = number
    return [write.value for write in writes[first:] if write.begin <= end]


def stale_reads(writes: Iterable[Write], reads: Iterable[Read]) -> list[Violation]:
    """Reads that show what an acknowledged change had replaced before they began, or what nobody ever wrote."""
    registers, found = _by_register(writes), []
    for read in reads:
        known = registers.get(read.register, [])
        if read.value in may_show(known, read.begin, read.end):
            continue
        former = any(write.value == read.value for write in known)
        shown = "what was replaced before it began" if former else "what was never written"
        late = min((read.begin - write.end for write in known if write.end <= read.begin), default=0.0)
        kind = f"stale {read.register.partition(':')[0]}"
        when = f"{late:.3f} s after the last change"
        found.append(Violation(kind, f"{read.how} of {read.register} shows {shown} ({when})"))
    return found


def lost_or_torn(writes: Iterable[Write], final: Mapping[str, Value]) -> list[Violation]:
    """Registers whose value at the end is neither the last acknowledged nor the one under way, wholly."""
    found = []
    for register, some in _by_register(writes).items():
        if register not in final:
            continue
        acknowledged = [number for number, write in enumerate(some) if write.end < float("inf")]
        last = acknowledged[-1] if acknowledged else 0
        if final[register] not in [write.value for write in some[last:]]:
            found.append(Violation("lost or torn", f"{register}: {some[last].what or 'its last change'} is not there"))
    return found


def torn_group(alternatives: Sequence[Mapping[str, Value]], final: Mapping[str, Value], who: str) -> list[Violation]:
    """A change under way at the end must be there wholly or not at all, over all registers that it concerns."""
    if any(all(final.get(register) == value for register, value in one.items()) for one in alternatives):
        return []
    return [Violation("lost or torn", f"{who}: neither wholly as before nor wholly as after its last change")]


def not_once(tried: Iterable[Tried], audited: Collection[str]) -> list[Violation]:
    """Changes that were acknowledged and are not in the audit, or are there for two of their attempts.

    `audited`: request ids of all entries, one for each entry.
    """
    entries: dict[str, Counter[str]] = defaultdict(Counter)
    for request_id in audited:
        entries[request_id.rpartition("-")[0]][request_id] += 1
    found = []
    for change in tried:
        of_it = entries.get(change.name, Counter())
        if len(of_it) > 1 or any(count > change.entries for count in of_it.values()):
            found.append(Violation("written twice", f"{change.kind} {change.name}: {sum(of_it.values())} entries"))
        elif change.acknowledged and not of_it and not change.maybe_none:
            found.append(Violation("lost", f"{change.kind} {change.name} was acknowledged and is not in the audit"))
    return found


def decisions_lost(acknowledged: Sequence[str], stored: Collection[str]) -> list[Violation]:
    """Decisions that were answered and are not recorded, or recorded under one id twice."""
    times = Counter(stored)
    missing = [Violation("lost", f"decision {one} was answered and is not recorded") for one in acknowledged]
    missing = [violation for violation, one in zip(missing, acknowledged, strict=True) if not times[one]]
    return missing + [Violation("written twice", f"decision {one}") for one, count in times.items() if count > 1]


def feed_gaps(followed: Sequence[Mapping[str, object]], whole: Sequence[Mapping[str, object]]) -> list[Violation]:
    """A follower that remembers a number must have seen all that is in the feed up to there, in that order.

    Compared by number and type: an erasure takes names out of entries that were shown before.
    """
    if not followed:
        return []
    seqs = [entry["seq"] for entry in followed]
    found = [
        Violation("feed", f"{after} comes after {before}")
        for before, after in pairwise(seqs)
        if not (isinstance(before, int) and isinstance(after, int) and before < after)
    ]
    end = seqs[-1]
    assert isinstance(end, int)
    seen = {entry["seq"]: entry["type"] for entry in followed}
    found += [
        Violation("feed", f"entry {entry['seq']} came late, or is another one now")
        for entry in whole
        if isinstance(entry["seq"], int) and entry["seq"] <= end and seen.get(entry["seq"]) != entry["type"]
    ]
    missing = seen.keys() - {entry["seq"] for entry in whole}
    return found + [Violation("feed", f"entry {seq} was shown and is gone") for seq in sorted(map(str, missing))]


def odd_answers(history: History) -> list[Violation]:
    """Answers that are neither what was asked for nor a refusal that says when to come again."""
    return [Violation("odd answer", f"{odd.how}: {odd.status} {odd.what}") for odd in history.odd]


def audit_broken(verdict: Mapping[str, object]) -> list[Violation]:
    """The audit does not verify."""
    return [] if verdict.get("ok") is True else [Violation("audit", f"first bad entry: {verdict.get('first_bad_seq')}")]
