"""Whether an identifier may be linked at all: what its person said, and what the policy takes for a value."""

from __future__ import annotations

from collections.abc import Sequence

from service.control.effective_consent import linking_permitted
from service.control.normalise import accepts
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy


def linkable(key: IdentifierKey, records: Sequence[ConsentRecord], policy: Policy) -> bool:
    """Whether links at the identifier count. One whose value a later policy refuses stays known, alone."""
    return linking_permitted(records, policy) and accepts(key, policy)
