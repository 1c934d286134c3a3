"""Whether an identifier may be linked at all: what its person said, and what the policy takes for a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.control.effective_consent import linking_permitted, linking_until
from service.control.normalise import accepts
from service.model.evidence import ConsentRecord, Link
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.state import IdentifierState
from service.resolution.activity import due_of, inactive_of


def linkable(key: IdentifierKey, records: Sequence[ConsentRecord], policy: Policy, now: int) -> bool:
    """Whether links at the identifier count at `now` (ms). One whose value a later policy refuses stays alone."""
    return linking_permitted(records, policy, now) and accepts(key, policy)


def permitted(state: IdentifierState, policy: Policy, now: int) -> IdentifierState:
    """The identifier with whether it may be linked at `now` (ms), by its consents, and until when."""
    linking = linkable(state.key, state.consents, policy, now)
    return state._replace(linking=linking, linking_until=linking_until(state.consents, policy) if linking else None)


def judged(link: Link, ends: Sequence[IdentifierState], policy: Policy, now: int) -> Link:
    """The link with its activity and its due time (ms): its own, or when a grant runs out that an end is linked by."""
    due = None if link.retracted_at is not None else due_of(link, policy)
    link = replace(link, due=due)  # what it is judged by: a grant that runs out withdraws a link, it does not expire it
    link = replace(link, inactive=inactive_of(link, policy, linking=all(end.linking for end in ends), now=now))
    if link.inactive is not None:
        return link
    grants = (end.linking_until for end in ends)
    return replace(link, due=min((at for at in (due, *grants) if at is not None), default=None))
