"""One turn's changes, carried out in the world: load, change, settle, receipts. The transaction is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from service.commands import (
    audiences,
    cutover,
    decisions,
    deliveries,
    erase,
    event_schemas,
    model_acts,
    observe,
    observe_events,
    policy_acts,
    record,
    record_acts,
    resolve_anew,
    restore,
    review,
    revoke,
    steward,
    subject,
)
from service.commands.account import cause_of
from service.commands.announce import ASSERTION, Event, events_of
from service.commands.audiences import regrouped
from service.commands.compose import note_versions
from service.commands.delivering import Delivering
from service.commands.observe import flip_due
from service.commands.ports import Turn
from service.commands.settle import settle
from service.commands.steps import Settle, Settlement, Step
from service.commands.world import Wanted, World
from service.errors import FabricError
from service.model.changes import (
    ActivatePolicy,
    Change,
    Decide,
    Disclose,
    DraftPolicy,
    Evidence,
    ExpireDue,
    Judge,
    LookAgain,
    Merge,
    ObserveLink,
    ObserveTraits,
    Origin,
    PolicyReceipt,
    Receipt,
    RecordConsent,
    ResolveAnew,
    Restore,
    RetractLink,
    RevocationReceipt,
    Revoke,
    Split,
    StewardReceipt,
    SweepReceipt,
    Undo,
)
from service.model.delivery_changes import Attempt, CutOver, CutOverReceipt
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent, RegisterSchema
from service.model.identifiers import AssertionId, IdentifierKey
from service.model.matching_models import BeginTraining, EndTraining
from service.model.profile import Profile
from service.model.record_acts import NoteAct
from service.model.records import ObserveRecord, WithdrawRecord

Outcome = Receipt | FabricError
NewId = Callable[[str], str]


@dataclass(slots=True)
class Carried:
    """What became of each change, in order, and what the feed is told."""

    outcomes: list[Outcome] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def wanted_by(change: Change) -> Wanted:
    """What a change needs loaded before it can be looked at."""
    match change:
        case ObserveLink():
            return observe.wanted_by_link(change)
        case RetractLink():
            return observe.wanted_by_retraction(change)
        case Merge():
            return steward.wanted_by_merge(change)
        case Split():
            return steward.wanted_by_split(change)
        case Undo():
            return steward.wanted_by_undo(change)
        case Judge():
            return review.wanted_by_verdict(change)
        case RecordConsent():
            return revoke.wanted_by_consent(change)
        case Revoke():
            return erase.wanted_by_erasure(change) if change.erases else revoke.wanted_by_revocation(change)
        case ExpireDue():
            return observe.wanted_by_expiry(change)
        case Restore():
            return restore.wanted_by_restoring(change)
        case ObserveTraits():
            return audiences.wanted_by_traits(change)
        case LookAgain():
            return audiences.wanted_by_looking(change)
        case ObserveRecord() | WithdrawRecord():
            return record.wanted_by_record(change)
        case BeginTraining() | EndTraining():
            return model_acts.wanted_by_model(change)
        case DraftPolicy() | ActivatePolicy() | ResolveAnew() | CutOver():
            return Wanted()  # they say themselves what they need
        case Disclose():
            return subject.wanted_by_disclosure(change)
        case RecordEvent():
            return observe_events.wanted_by_event(change)
        case QuarantineEvent():
            return observe_events.wanted_by_quarantine(change)
        case RegisterSchema():
            return event_schemas.wanted_by_schema(change)
        case _:
            return Wanted()  # decisions and deliveries rest on profiles as stored, see `decisions`


def step_of(world: World, change: Evidence, origin: Origin, new_id: NewId) -> Step:
    """The step that carries a change out."""
    match change:
        case ObserveLink():
            return observe.observe_link(world, change)
        case RetractLink():
            return observe.retract_link(world, change)
        case Merge():
            return steward.merge(world, change, origin.actor, AssertionId(new_id("ast")))
        case Split():
            return steward.split(world, change, origin.actor, AssertionId(new_id("ast")))
        case Undo():
            return steward.undo(world, change)
        case Judge():
            return review.judge(world, change, origin.actor, AssertionId(new_id("ast")))
        case RecordConsent():
            return revoke.record_consent(world, change, new_id)
        case Revoke():
            carry = erase.erase if change.erases else revoke.revoke
            return carry(world, change, origin.actor, new_id("rev"))
        case ExpireDue():
            return observe.expire_due(world, change)
        case Restore():
            return restore.restore(world, change)
        case ObserveTraits():
            return audiences.observe_traits(world, change)
        case LookAgain():
            return audiences.look_again(world, change)
        case ObserveRecord():
            return record.observe_record(world, change)
        case WithdrawRecord():
            return record.withdraw_record(world, change)
        case BeginTraining():
            return model_acts.begin_training(world, change)
        case EndTraining():
            return model_acts.end_training(world, change)
        case DraftPolicy():
            return policy_acts.draft_policy(world, change)
        case ActivatePolicy():
            return policy_acts.activate_policy(world, change)
        case CutOver():
            return cutover.cut_over(world, change, origin)
        case ResolveAnew():
            return resolve_anew.resolve_anew(world, change)
        case Disclose():
            return subject.disclose(world, change)
        case RecordEvent():
            return observe_events.record_event(world, change, new_id)
        case QuarantineEvent():
            return observe_events.quarantine_event(world, change)
        case RegisterSchema():
            return event_schemas.register_schema(world, change)
        case NoteAct():
            return record_acts.note_act(change)


def _stands_alone(change: Change) -> bool:
    """A steward's act is settled by itself, so that its before and after are its own."""
    return isinstance(change, Merge | Split | Undo | Judge)


def _kind(change: Change, linking: str) -> str:
    """Changes of one kind are settled together: decisions, erasures, consent, and all other evidence. Whom consent
    parts, they inherit from each other; whom other evidence parts, they do not. `linking`: the purpose of being linked.
    """
    if isinstance(change, Decide):
        return "decides"
    if isinstance(change, deliveries.ACTS):
        return "delivers"
    if isinstance(change, Revoke) and change.erases:
        return "erases"
    if isinstance(change, RecordEvent):
        return "allows" if observe_events.withdraws_linking(change, linking) else "says"
    return "allows" if isinstance(change, Revoke | RecordConsent) else "says"


def segments(changes: Sequence[tuple[Change, Origin]], linking: str = "") -> list[list[tuple[Change, Origin]]]:
    """Runs of changes that are settled together, in order."""
    found: list[list[tuple[Change, Origin]]] = []
    before = ""
    for item in changes:
        kind, alone = _kind(item[0], linking), _stands_alone(item[0])
        if alone or kind != before:
            found.append([])
        found[-1].append(item)
        before = "" if alone else kind
    return found


class Carrier:
    """Carries changes out within one transaction."""

    def __init__(self, turn: Turn, world: World, new_id: NewId, pseudonym: Callable[[str], str] = str) -> None:
        self._turn = turn
        self._pseudonym = pseudonym
        self._delivering = Delivering(turn, world, new_id, pseudonym)
        self.world = self._world = world
        self._new_id = new_id
        self._stored: dict[IdentifierKey, Profile] = {}
        self._erased: frozenset[IdentifierKey] = frozenset()

    async def load(self, wanted: Wanted) -> None:
        """Bring in what is wanted and not here yet."""
        missing = self._world.missing(wanted)
        if missing or missing.due:
            self._world.take(missing, await self._turn.load(missing, self._world.now))

    async def apply_due(self, carried: Carried) -> int:
        """Flip the links that have fallen due, as far as one turn goes; returns how many."""
        return await self._flip(flip_due(self._world), carried)

    async def _flip(self, step: Step, carried: Carried) -> int:
        """Run a step that is settled once for each due time."""
        try:
            asks = next(step)
            while True:
                if isinstance(asks, Wanted):
                    await self.load(asks)
                    asks = step.send(None)
                    continue
                settled = await self._settle()
                self._announce((), (), settled, carried)
                self._note_versions((), carried)
                asks = step.send(settled)
        except StopIteration as done:
            receipt: SweepReceipt = done.value
            return receipt.flipped

    async def carry_out(self, changes: Sequence[tuple[Change, Origin]], carried: Carried) -> None:
        """All changes, segment by segment. A change that is refused has its error as outcome and changed nothing."""
        wanted = Wanted()
        for change, _ in changes:
            wanted.add(wanted_by(change))
        decided = {change.identifier for change, _ in changes if isinstance(change, Decide)}
        decided |= {change.asked for change, _ in changes if isinstance(change, Attempt) and change.asked}
        if decided and self._world.behind:
            wanted.add(Wanted(identifiers=set(decided)))
        await self.load(wanted)
        if decided:
            self._stored = await self._turn.profiles(sorted(decided))
            unknown = sorted(decided - self._stored.keys())
            self._erased = await self._turn.erased(unknown) if unknown else frozenset()
        if self._world.behind:
            await self._flip(flip_due(self._world, wanted.identifiers), carried)
        for index, segment in enumerate(segments(changes, self._world.policy.linking_purpose)):
            if index:
                self._world.now += 1
            marks = self._delivering.marks()
            await self._segment(segment, carried)
            self._note_versions(segment, carried)
            await self._delivering.follow(segment, carried.outcomes[-len(segment) :], marks)

    def _note_versions(self, segment: Sequence[tuple[Change, Origin]], carried: Carried) -> None:
        """Note how profiles look now, and tell which audiences they are in that they were not, or no more."""
        events = regrouped(self._world, note_versions(self._world))
        self._tell(events, cause_of(segment), self._world.now, carried)

    async def _segment(self, segment: Sequence[tuple[Change, Origin]], carried: Carried) -> None:
        if isinstance(segment[0][0], Decide):
            asked = [change for change, _ in segment if isinstance(change, Decide)]
            await self._delivering.load_owners(asked, self._stored)
            carried.outcomes += decisions.decided(
                self._world, asked, self._stored, self._erased, self._new_id, self._pseudonym
            )
            return
        if isinstance(segment[0][0], deliveries.ACTS):
            carried.outcomes += await self._delivering.carry_out(segment, self._stored, self._erased)
            return
        begun: list[Step | Outcome] = []
        for change, origin in segment:
            assert not isinstance(change, Decide | deliveries.Acts), "these have segments of their own"
            begun.append(await self._begin(step_of(self._world, change, origin, self._new_id)))
        settled = Settlement(self._world.now, {}, {}, (), frozenset())
        if self._world.touched:
            settled = await self._settle()
        outcomes = [self._end(step, settled) if isinstance(step, Generator) else step for step in begun]
        carried.outcomes += outcomes
        self._announce(segment, outcomes, settled, carried)

    async def _begin(self, step: Step) -> Step | Outcome:
        """Run a step up to the point where it asks to be settled."""
        try:
            asks = next(step)
            while not isinstance(asks, Settle):
                await self.load(asks)
                asks = step.send(None)
            return step
        except StopIteration as done:
            receipt: Receipt = done.value
            return receipt
        except FabricError as error:
            return error

    @staticmethod
    def _end(step: Step, settled: Settlement) -> Outcome:
        try:
            step.send(settled)
        except StopIteration as done:
            receipt: Receipt = done.value
            return receipt
        raise RuntimeError("a step asked for more after it was settled")

    async def _settle(self) -> Settlement:
        asks = settle(self._world)
        try:
            wanted = next(asks)
            while True:
                await self.load(wanted)
                wanted = asks.send(None)
        except StopIteration as done:
            settled: Settlement = done.value
            return settled

    def _announce(
        self,
        segment: Sequence[tuple[Change, Origin]],
        outcomes: Sequence[Outcome],
        settled: Settlement,
        carried: Carried,
    ) -> None:
        events = events_of(settled)
        for (change, _), outcome in zip(segment, outcomes, strict=True):
            if isinstance(outcome, FabricError):
                continue
            if isinstance(change, Revoke) and change.erases and isinstance(outcome, RevocationReceipt):
                told: list[Event] = [
                    {"type": "person.erased", "profile_id": profile_id} for profile_id in outcome.profiles
                ]
                events += [event for event in told if event not in events]
            elif isinstance(change, Revoke | RecordConsent):
                profile = self._world.state(change.identifier).profile
                if profile is not None:
                    events.append({"type": "consent.changed", "profile_id": profile})
            elif isinstance(outcome, EventReceipt) and outcome.consented and outcome.profile_id is not None:
                events.append({"type": "consent.changed", "profile_id": outcome.profile_id})
            elif isinstance(outcome, PolicyReceipt) and outcome.former is not None:
                version = outcome.kept.version
                versions = {"policy_version": version, "former": outcome.former}
                events.append({"type": "policy.activated", "profile_id": None, **versions})
            elif isinstance(outcome, CutOverReceipt):
                events += cutover.told(outcome)
            elif isinstance(outcome, StewardReceipt) and outcome.applied:
                shown = sorted({grouping.profile_id for grouping in (*outcome.before, *outcome.after)})
                events.append({"type": ASSERTION, "profile_id": None, "profiles": shown})
        if not segment:
            over = [p for p, members in sorted(settled.before.items()) if not settled.touched.isdisjoint(members)]
            events += [{"type": "profile.expired", "profile_id": profile_id} for profile_id in over]
        self._tell(events, cause_of(segment), settled.at, carried)

    def _tell(self, events: Sequence[Event], cause: dict[str, object], at: int, carried: Carried) -> None:
        for event in events:
            self._world.seq += 1
            carried.events.append({"seq": self._world.seq, "at": at, **event, "cause": cause})
