"""Writes profiles of identifiers that the graph does not know: whole, with as few look-ups as can be.

A profile is made together with its members and the links between one of them, the hub, and the others. What does not
have that shape (links between other members, across profiles, to households) follows by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from service.commands.newcomers import Newcomers
from service.commands.plan import Plan, StoredLink, StoredProfile
from service.graph import queries, records
from service.model.identifiers import IdentifierKey, Pair

# `founded`: [profile, hub, [[member, link from the hub]], [[member, link to the hub]], [member without either]].
WRITE_NEWCOMERS: LiteralString = (
    "CALL () {" + queries.MARK_DROPPED.replace("$rows", "$turn.dropped") + "} "
    "CREATE (t:Turn:Pending) SET t = $turn.turn "
    "WITH t CALL (t) { UNWIND $turn.founded AS row "
    "CREATE (t)<-[:CHANGED {seq: $seq}]-(p:Profile)<-[:IN {since: $at}]-(h:Identifier) SET p = row[0], h = row[1] "
    "FOREACH (m IN row[2] | CREATE (h)-[r:LINK]->(i:Identifier)-[:IN {since: $at}]->(p) SET i = m[0], r = m[1]) "
    "FOREACH (m IN row[3] | CREATE (h)<-[r:LINK]-(i:Identifier)-[:IN {since: $at}]->(p) SET i = m[0], r = m[1]) "
    "FOREACH (m IN row[4] | CREATE (i:Identifier)-[:IN {since: $at}]->(p) SET i = m) } "
    "CALL () {" + queries.CREATE_IDENTIFIERS.replace("$rows", "$turn.outside") + "} "
    "CALL () {" + queries.CREATE_LINKS.replace("$rows", "$turn.links") + "} "
    "CALL () {" + queries.CREATE_AUDIT.replace("$rows", "$turn.entries") + "} "
    "CALL () {" + queries.ADVANCE_HEAD.replace("$rows", "$turn.heads") + "} "
    "FINISH"
)


class Rows(NamedTuple):
    """What one part of a turn writes: founded profiles, identifiers in none, links by key."""

    founded: list[list[Any]]
    outside: list[records.Row]
    links: list[records.Row]


def _between(plan: Plan, within: dict[IdentifierKey, str]) -> tuple[dict[str, list[StoredLink]], list[records.Row]]:
    """Links between members of one profile, by its id, and the rows of all others."""
    inside: dict[str, list[StoredLink]] = {}
    across = []
    for stored in plan.links_new:
        profile_id = within.get(stored.link.a)
        if profile_id is not None and within.get(stored.link.b) == profile_id:
            inside.setdefault(profile_id, []).append(stored)
        else:
            across.append(records.row_of_link(stored, whole=False))
    return inside, across


def _hub(links: Sequence[StoredLink], first: IdentifierKey) -> IdentifierKey:
    """The member with most links; `first` where there are none."""
    counts: dict[IdentifierKey, int] = {first: 0}
    for stored in links:
        for end in stored.link.pair:
            counts[end] = counts.get(end, 0) + 1
    return max(counts, key=lambda key: counts[key])


def _founded(
    stored: StoredProfile,
    links: Sequence[StoredLink],
    identifiers: dict[IdentifierKey, records.Row],
    rest: list[records.Row],
) -> list[Any]:
    """One row of `founded`; links without a place in it are added to `rest`."""
    profile = stored.profile
    assert profile is not None
    assert stored.born is not None
    hub = _hub(links, stored.born)
    spokes: tuple[list[Any], list[Any]] = ([], [])
    seen: set[Pair] = set()
    placed = {hub}
    for one in links:
        link = one.link
        row = records.row_of_link(one, whole=False)
        if hub not in link.pair or link.pair in seen:
            rest.append(row)
            continue
        seen.add(link.pair)
        other = link.b if link.a == hub else link.a
        placed.add(other)
        spokes[link.a != hub].append([identifiers[other], row["link"]])
    shown = records.row_of_profile(stored, 0)
    shown["holder"] = stored.born
    left = [identifiers[member.key] for member in profile.members if member.key not in placed]
    return [shown, identifiers[hub], *spokes, left]


def rows_of(plan: Plan) -> Rows:
    """The rows of a plan that only makes new identifiers, links and profiles. Raises ValueError for another one."""
    others = (plan.identifiers, plan.links, plan.left, plan.passed, plan.ids, plan.lowered, plan.bars_changed)
    if any(others) or plan.assertions_new or plan.consents or plan.revocations:
        raise ValueError("a plan of newcomers changes nothing that is there")
    identifiers = {s.key: records.row_of_state(s, plan.bars.get(s.key), whole=False) for s in plan.identifiers_new}
    within: dict[IdentifierKey, str] = {stay.key: stay.profile_id for stay in plan.joined}
    inside, links = _between(plan, within)
    founded = [
        _founded(stored, inside.get(stored.profile_id, ()), identifiers, links)
        for stored in plan.profiles
        if stored.profile is not None
    ]
    outside = [row for key, row in identifiers.items() if key not in within]
    return Rows(founded, outside, links)


def dated(rows: Rows, made_at: int, seq: int, at: int) -> list[list[Any]]:
    """The founded profiles with the time and the sequence number of the turn that writes them.

    The time stands in a view as `"at":MS`; within a JSON text of strings that can't be anything else.
    """
    old, new = f'"at":{made_at}', f'"at":{at}'
    turn = {"stamp": seq, "since": at}
    return [
        [{**profile, **turn, "view": profile["view"].replace(old, new, 1)}, *others]
        for profile, *others in rows.founded
    ]


def turn_of(parts: Sequence[Newcomers], op: str, *, after: int, seq: int, at: int) -> dict[str, Any]:
    """Everything that the parts of one turn write, as the parameter `turn` has it, but entries and head."""
    items: list[str] = []
    founded: list[list[Any]] = []
    outside: list[records.Row] = []
    links: list[records.Row] = []
    for part in parts:
        items += part.items(after + len(items), at)
        founded += dated(part.rows, part.made_at, seq, at)
        outside += part.rows.outside
        links += part.rows.links
    drops = [key for part in parts for key in part.drops]
    turn = {"seq": seq, "at": at, "op": op, "items": items, "drops": drops}
    return {"turn": turn, "founded": founded, "outside": outside, "links": links}
