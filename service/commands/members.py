"""Who may be used of an audience, for a destination, now: each member as a decision that is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.commands.carry_out import Outcome
from service.commands.policies import Policies
from service.commands.write_path import WritePath
from service.control.decide import decide
from service.control.traits import audiences_of
from service.errors import FabricError, Invalid, UnknownAudience
from service.model.changes import Decide, DecisionReceipt, Origin
from service.model.identifiers import IdentifierKey, namespace_of
from service.model.policy import Policy
from service.model.profile import Profile


@dataclass(frozen=True, slots=True)
class MembersPage:
    """Decisions as JSON texts, and after which profile id to go on (None: that is all)."""

    bodies: list[str]
    following: str | None


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, b""


def _asked(profile: Profile, destination: str, policy: Policy, now: int) -> IdentifierKey | None:
    """The most senior identifier by which something is given, None where nothing is.

    Identifiers that the destination may have go first: asked by such a one, it is sure of it.
    """
    rule = policy.destinations[destination]
    keys = [member.key for member in profile.members]
    keys.sort(key=lambda key: not rule.takes(namespace_of(key)))
    for key in keys:
        if decide(profile, key, destination, None, None, policy, now).outcome != "withhold":
            return key
    return None


async def members_of(
    audience: str,
    destination: str,
    after: str,
    limit: int,
    *,
    policies: Policies,
    write_path: WritePath,
    origin: Origin,
    now: int,
) -> MembersPage:
    """A page of an audience's members, by profile id, after one.

    Those noted as members are looked at as they are now, so that who withdrew has left at once. Raises UnknownAudience,
    Invalid for an unknown destination, StoreUnavailable.
    """
    policy = await policies.current()
    if audience not in policy.audiences:
        raise UnknownAudience()
    if destination not in policy.destinations:
        raise Invalid.at("/destination", "is not a destination of the policy")
    noted = await policies.store.members(audience, after, limit)
    changes = []
    for profile in noted:
        if audiences_of(profile, policy, now, (audience,)):
            key = _asked(profile, destination, policy, now)
            if key is not None:
                changes.append(Decide(key, destination))
    following = noted[-1].profile_id if len(noted) == limit else None
    if not changes:
        return MembersPage([], following)
    answered = await write_path.submit(changes, origin, _render)
    bodies = []
    for outcome in answered.outcomes:
        if isinstance(outcome, FabricError):
            raise outcome
        if isinstance(outcome, DecisionReceipt) and outcome.decision.outcome != "withhold":
            bodies.append(outcome.body)
    return MembersPage(bodies, following)
