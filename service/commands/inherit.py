"""What the parts of a profile inherit from each other when links end; see `service.control.inheritance`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence

from service.commands.world import Wanted, World
from service.control.inheritance import ERASED, Consents, Ended, granted_anew, heirs, with_heirs, without_heirs
from service.model.evidence import Assertion, ConsentRecord
from service.model.identifiers import IdentifierKey, LinkId, ProfileId


def companies(world: World, profiles: Iterable[ProfileId]) -> dict[ProfileId, Consents]:
    """The consents of everybody in the profiles of a region in which links end, before it is settled; of those erased
    too. Also profiles that none of these links is in can come apart, where others join in their place.
    """
    if not world.parting:
        return {}
    return {
        profile: {key: world.state(key).consents for key in world.members[profile]} | world.gone.get(profile, {})
        for profile in profiles
    }


def bequeath(world: World, former: Mapping[ProfileId, Consents]) -> None:
    """Give the parts what they inherit, once it is settled who is with whom."""
    for profile, consents in former.items():
        ended = [one for one in world.ended if one.profile == profile]
        together: dict[ProfileId | None, set[IdentifierKey]] = {}
        for key in consents:
            state = world.state(key)
            if not state.dead:
                together.setdefault(state.profile, set()).add(key)
        for key, record in heirs(ended, consents, list(together.values()), world.policy, world.now):
            state = world.state(key)
            world.change(state._replace(consents=with_heirs(state.consents, [record])))
            world.restructured.add(key)
    world.ended.clear()
    world.gone.clear()
    world.parting = False


def parts_from_all(world: World, key: IdentifierKey) -> None:
    """Note that an identifier leaves everybody whom a steward's word joined it to, beside whom its links did."""
    state = world.state(key)
    if state.named and state.profile is not None:
        world.parting = True
        world.ended.append(Ended(key, key, ERASED, state.profile, world.now))


def end_inherited(world: World, key: IdentifierKey, grants: Sequence[ConsentRecord]) -> Generator[Wanted, None, None]:
    """A grant ends what everybody in the profile inherited before it. Who joins them later is not spoken for."""
    profile = world.state(key).profile
    if not grants:
        return
    if profile is not None:
        yield Wanted(profiles={profile})
    for member in {key, *(world.members[profile] if profile is not None else ())}:
        state = world.state(member)
        kept = state.consents
        for grant in grants:
            kept = granted_anew(kept, grant)
        if kept != state.consents:
            world.change(state._replace(consents=kept))
            world.restructured.add(member)


def disinherit(world: World, keys: Iterable[IdentifierKey], link_id: LinkId) -> None:
    """End what the ends of a link inherited by it: it never joined one person."""
    for key in keys:
        state = world.state(key)
        kept = without_heirs(state.consents, {link_id})
        if kept != state.consents:
            world.change(state._replace(consents=kept))
            world.restructured.add(key)
            if state.profile is not None:
                world.touched.add(key)


def disinherit_across(world: World, assertion: Assertion) -> Generator[Wanted, None, None]:
    """End what identifiers inherited by links to those whom a steward says they are not."""
    sides = assertion.sides
    vias = {
        record.via: key
        for side in sides
        for key in sorted(side)
        for record in world.state(key).consents
        if record.via is not None and record.via != ERASED
    }
    yield Wanted(links={LinkId(via) for via in vias})
    for via in sorted(vias):
        link = world.links.get(LinkId(via))
        if link is not None and any(link.a in side and link.b in other for side, other in (sides, sides[::-1])):
            disinherit(world, link.pair, link.link_id)
