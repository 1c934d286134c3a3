"""What a turn reads and writes of deliveries: themselves, how destinations are doing, who owns whom, comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from service.model.changes import DecisionReceipt
from service.model.delivery import (
    Assignment,
    Comparison,
    CutoverStep,
    Delivery,
    DestinationState,
    Explanation,
)
from service.model.identifiers import IdentifierKey, ProfileId


@dataclass(slots=True)
class DispatchWanted:
    """What is to be read. `lanes`: the first two that are pending of each. `received`: what the profiles that these
    identifiers were ever in were sent. `cuts`: the steps of these destinations.
    """

    deliveries: set[str] = field(default_factory=set)
    lanes: set[str] = field(default_factory=set)
    destinations: set[str] = field(default_factory=set)
    assignments: set[str] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    comparisons: set[str] = field(default_factory=set)
    received: set[IdentifierKey] = field(default_factory=set)
    cuts: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(
            self.deliveries
            or self.lanes
            or self.destinations
            or self.assignments
            or self.records
            or self.comparisons
            or self.received
            or self.cuts
        )


@dataclass(frozen=True, slots=True)
class Received:
    """What a destination was sent of a person: the order of the last send it took, and of the last removal."""

    destination: str
    profile_id: ProfileId
    sent: int = -1
    removed: int = -1


@dataclass(slots=True)
class DispatchLoaded:
    """What was read; what is not in it is not there. `records`: id of a record of the old stack → its digest."""

    deliveries: list[Delivery] = field(default_factory=list)
    lanes: dict[str, list[Delivery]] = field(default_factory=dict)
    destinations: dict[str, DestinationState] = field(default_factory=dict)
    assignments: dict[str, Assignment] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    received: dict[IdentifierKey, list[Received]] = field(default_factory=dict)
    cuts: dict[str, list[CutoverStep]] = field(default_factory=dict)


class Dispatch:
    """Deliveries as the turn found them and as it leaves them."""

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}
        self._lanes: dict[str, dict[str, Delivery]] = {}
        self._destinations: dict[str, DestinationState] = {}
        self.assignments: dict[str, Assignment] = {}
        self.records: dict[str, str] = {}
        self.comparisons: dict[str, Comparison] = {}
        self.received: Mapping[IdentifierKey, list[Received]] = {}
        self.cuts: dict[str, list[CutoverStep]] = {}
        self.changed_deliveries: dict[str, Delivery] = {}
        self.changed_destinations: dict[str, DestinationState] = {}
        self.changed_comparisons: dict[str, Comparison] = {}
        self.assigned: dict[str, Assignment] = {}
        self.recorded: dict[str, str] = {}
        self.explained: list[Explanation] = []
        self.steps: list[CutoverStep] = []
        self.undone_at: list[tuple[str, int]] = []
        self.places = 0
        self.decisions: list[DecisionReceipt] = []
        self.entries: list[dict[str, object]] = []
        self.intake: Counter[str] = Counter()

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.changed_deliveries
            or self.changed_destinations
            or self.changed_comparisons
            or self.assigned
            or self.recorded
            or self.explained
            or self.steps
            or self.undone_at
            or self.intake
        )

    @property
    def wakes(self) -> set[str]:
        """Destinations at which something may be sent now that could not before."""
        waiting = {d.destination for d in self.changed_deliveries.values() if d.waits and not d.sending}
        return waiting | self.changed_destinations.keys()

    def missing(self, wanted: DispatchWanted) -> DispatchWanted:
        """The part that is not here yet."""
        return DispatchWanted(
            {one for one in wanted.deliveries if one not in self._deliveries},
            {lane for lane in wanted.lanes if lane not in self._lanes},
            {name for name in wanted.destinations if name not in self._destinations},
            {place for place in wanted.assignments if place not in self.assignments},
            {record for record in wanted.records if record not in self.records},
            {place for place in wanted.comparisons if place not in self.comparisons},
            set(wanted.received),
            {name for name in wanted.cuts if name not in self.cuts},
        )

    def take(self, wanted: DispatchWanted, loaded: DispatchLoaded) -> None:
        """Hand in what a load brought; what is known already, perhaps changed, stays as it is."""
        for delivery in loaded.deliveries:
            self._deliveries.setdefault(delivery.delivery_id, delivery)
        for lane in wanted.lanes:
            known = self._lanes.setdefault(lane, {})
            for delivery in loaded.lanes.get(lane, ()):
                found = self._deliveries.setdefault(delivery.delivery_id, delivery)
                if not found.is_over:
                    known.setdefault(found.delivery_id, found)
        for name in wanted.destinations:
            self._destinations.setdefault(name, loaded.destinations.get(name) or DestinationState(name))
        for name in wanted.cuts:
            self.cuts.setdefault(name, list(loaded.cuts.get(name, ())))
        for place, assignment in loaded.assignments.items():
            self.assignments.setdefault(place, assignment)
        self.records = {**loaded.records, **self.records}
        self.comparisons = {**loaded.comparisons, **self.comparisons}
        if wanted.received:
            self.received = loaded.received

    def delivery(self, delivery_id: str) -> Delivery | None:
        """A delivery as it is now; it must have been wanted."""
        return self._deliveries.get(delivery_id)

    def destination(self, name: str) -> DestinationState:
        """How a destination is doing; it must have been wanted."""
        return self._destinations.get(name) or DestinationState(name)

    def next_place(self, seq: int) -> int:
        """A place in the order of all deliveries, after those given out so far. `seq`: of the turn."""
        self.places += 1
        return (seq << 20) + self.places

    def put(self, delivery: Delivery) -> Delivery:
        """Note a delivery as it is from now on. It waits if it is the first of its lane that is pending, and when it is
        over the next one does.
        """
        lane = delivery.lane
        if lane is not None:
            queue = self._lanes.setdefault(lane, {})
            if delivery.is_over:
                queue.pop(delivery.delivery_id, None)
                delivery = replace(delivery, waits=False, sending=False, lane=None)
                following = min(queue.values(), key=lambda one: one.order, default=None)
                if following is not None and not following.waits:
                    self._note(replace(following, waits=True))
            else:
                first = min((one.order for one in queue.values()), default=delivery.order)
                delivery = replace(delivery, waits=delivery.waits or delivery.order <= first)
        self._note(delivery)
        return delivery

    def _note(self, delivery: Delivery) -> None:
        self._deliveries[delivery.delivery_id] = self.changed_deliveries[delivery.delivery_id] = delivery
        if delivery.lane is not None:
            self._lanes.setdefault(delivery.lane, {})[delivery.delivery_id] = delivery

    def set_destination(self, state: DestinationState) -> None:
        """Note how a destination is doing."""
        if self._destinations.get(state.name) != state:
            self._destinations[state.name] = self.changed_destinations[state.name] = state

    def compare(self, comparison: Comparison) -> None:
        """Note both sides of an event as they are from now on."""
        self.comparisons[comparison.place] = self.changed_comparisons[comparison.place] = comparison

    def assign(self, assignments: Iterable[Assignment]) -> None:
        """Note where people stand."""
        for one in assignments:
            self.assignments[one.place] = self.assigned[one.place] = one

    def record(self, record_id: str, digest: str) -> None:
        """Note a record of the old stack."""
        self.records[record_id] = self.recorded[record_id] = digest

    def step(self, step: CutoverStep) -> None:
        """Note a step of a cutover."""
        self.steps.append(step)
