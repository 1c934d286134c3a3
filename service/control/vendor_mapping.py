"""From a vendor's names to the policy's: which purposes, identifiers and regulation a statement is about.

Several of a vendor's purposes may mean one of ours. Then a refusal of any of them refuses it, and it is granted only by
a statement that grants every one of them, at the latest of their times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.model.capture import WebhookMapping
from service.model.evidence import ConsentState

State = tuple[ConsentState, int | None, str | None]  # state, at (ms; None: when it was told), basis
_STRICTNESS: Mapping[ConsentState, int] = {"granted": 0, "denied": 1, "withdrawn": 2}


class Unmapped(Exception):
    """The policy has no meaning for a name. The message names none of the vendor's values."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A state of one of the policy's purposes."""

    purpose: str
    state: ConsentState
    at: int | None
    basis: str | None


def regulation_meant(sent: str | None, mapping: WebhookMapping) -> str | None:
    """The policy's regulation. Raises Unmapped."""
    if sent is None:
        return mapping.regulation
    if sent not in mapping.regulations:
        raise Unmapped("is not listed in the policy's mapping")
    return mapping.regulations[sent]


def purposes_meant(sent: str, mapping: WebhookMapping) -> tuple[str, ...]:
    """The policy's purposes, none for one that is known and left out. Raises Unmapped."""
    if sent not in mapping.purposes:
        raise Unmapped("is not listed in the policy's mapping")
    return mapping.purposes[sent]


def states_meant(said: Mapping[str, State], mapping: WebhookMapping) -> list[Meant]:
    """What is said of the policy's purposes; `said` has the vendor's, all of them listed."""
    found = []
    for purpose in sorted({ours for meant in mapping.purposes.values() for ours in meant}):
        theirs = [name for name, meant in mapping.purposes.items() if purpose in meant]
        states = [said[name] for name in theirs if name in said]
        refusals = [state for state in states if state[0] != "granted"]
        if refusals:
            state = max((s for s, _, _ in refusals), key=_STRICTNESS.__getitem__)
            found.append(Meant(purpose, state, _latest(at for _, at, _ in refusals), None))
        elif states and len(states) == len(theirs):
            bases = {basis for _, _, basis in states}
            basis = bases.pop() if len(bases) == 1 else None
            found.append(Meant(purpose, "granted", _latest(at for _, at, _ in states), basis))
    return found


def all_refused(mapping: WebhookMapping, at: int | None) -> list[Meant]:
    """A refusal of every purpose that is mapped."""
    return [Meant(p, "denied", at, None) for p in sorted({p for ours in mapping.purposes.values() for p in ours})]


def _latest(times: Iterable[int | None]) -> int | None:
    """The latest; None stands for now, later than any."""
    known = list(times)
    if None in known:
        return None
    return max((at for at in known if at is not None), default=None)
