"""Which links are worth a steward's look, and how much a decision on one is worth. Pure."""

from __future__ import annotations

from collections.abc import Collection

from service.model.evidence import Link, Reason, Standing
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy

_REFUSED: frozenset[Reason] = frozenset({"namespace_limit", "profile_size", "asserted_different", "records_disagree"})


def wants_review(link: Link, withheld: Reason | None, a: Standing, b: Standing, policy: Policy) -> bool:
    """Whether a person should decide: a probable link under the threshold, or one that a limit or a third's assertion
    refuses. Not one on which a verdict was given, nor one between two who were said to be different outright.
    """
    if link.reviewed is not None or any((assertion, 1 - side) in b.sides for assertion, side in a.sides):
        return False
    if link.inactive is not None:
        probable = link.method == "probabilistic" and link.confidence >= policy.review_above
        return link.inactive == "below_confidence" and probable
    return withheld in _REFUSED


def worth_of(link: Link, one: Collection[IdentifierKey], other: Collection[IdentifierKey], policy: Policy) -> float:
    """What a decision is worth: how likely the two are one, times what they would bring together.

    Each identifier counts one, a person's own (a customer number, a login, an address) one more.
    """
    size = len(one) + len(other)
    persons = sum(1 for key in (*one, *other) if policy.namespace_of_key(key).kind == "person")
    return round(link.confidence * (size + persons), 6)
