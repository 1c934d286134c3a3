"""Replaying everything that was recorded into an empty graph gives the same profiles, under the same ids.

But for events of which only the aggregate may be kept: they name nobody in the record, so what they said of consent is
in the graph and its journal alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from service.control.link_ids import link_ids_under
from service.control.policy_document import compile_policy
from service.events.canonical import keyed_under
from service.events.publishing import versions_in
from service.events.reading import Reading, read_event
from service.events.replaying import read_again
from service.events.validation import compiled_builtin
from service.model.events import CanonicalEvent, RecordEvent
from service.model.identifiers import IdentifierKey
from service.model.times import rfc3339
from service.record.layout import as_table, event_of
from tests.properties.ledger import DAY, Act, Bench, Outcome, World

POLICY = compile_policy(orjson.loads((Path(__file__).parents[2] / "service/policies/default.json").read_bytes()), 1)
SCHEMAS = compiled_builtin()
DOCUMENTS = versions_in({name: found for name, found in SCHEMAS.items() if name.startswith("page_view/")})
KEY = b"the key of the replays"
NOW = 1_000 * DAY
READING = Reading(POLICY, SCHEMAS, NOW, link_ids_under(KEY), keyed_under(KEY, "content"), keyed_under(KEY, "address"))


class EventBench(Bench):
    """A bench that keeps what was captured, as the record would be given it."""

    def __init__(self) -> None:
        super().__init__(POLICY, NOW)
        self.captured: list[CanonicalEvent] = []

    def _carry_out(self, acts: tuple[Act, ...]) -> tuple[World, list[Outcome]]:
        world, outcomes = super()._carry_out(acts)
        self.captured += [captured.event for captured in world.capture.captured]
        return world, outcomes

    def story(self) -> dict[IdentifierKey, tuple[Any, ...]]:
        """Everything that is known of each identifier, but when it was told."""
        return {
            key: (
                self.ledger.within.get(key),
                state.first_seen,
                state.last_seen,
                state.sources,
                state.traits,
                sorted((c.purpose, c.regulation, c.state, c.at, c.source) for c in state.consents),
            )
            for key, state in self.ledger.kept.items()
        }


PEOPLE = [{"namespace": "crm_id", "value": f"p{n}"} for n in range(3)]
MAILS = [{"namespace": "email_sha256", "value": f"{n}" * 64} for n in (1, 2, 3)]
DEVICES = [{"namespace": "device_id", "value": f"d{n}"} for n in range(4)]
EVENTS = st.fixed_dictionaries(
    {
        "identifiers": st.lists(st.sampled_from([*PEOPLE, *MAILS, *DEVICES]), min_size=1, max_size=3),
        "day": st.integers(1, 60),
        "source": st.sampled_from(["crm", "web", "app"]),
        "plan": st.sampled_from([None, "gold", "free"]),
        "consent": st.sampled_from(
            [None, ("analytics", "granted"), ("advertising", "denied"), ("personalization", "denied")]
        ),
    }
)


def change(number: int, said: dict[str, Any]) -> RecordEvent:
    data: dict[str, Any] = {"identifiers": said["identifiers"], "properties": {"url": "https://shop.example/"}}
    if said["plan"] is not None:
        data["traits"] = {"plan": said["plan"]}
    if said["consent"] is not None:
        data |= {"consent": dict([said["consent"]]), "regulation": "GDPR"}
    sent = {"specversion": "1.0", "id": f"e{number}", "source": said["source"], "type": "page_view"}
    sent |= {"time": rfc3339(NOW - said["day"] * DAY + number), "dataschema": "page_view/1-0-0", "data": data}
    found = read_event(sent, READING)
    assert isinstance(found, RecordEvent), found
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(EVENTS, min_size=1, max_size=14), st.integers(1, 5), st.integers(1, 5))
def test_replaying_everything_into_an_empty_graph_gives_the_same(
    said: list[dict[str, Any]], batch: int, again: int
) -> None:
    first, second = EventBench(), EventBench()
    changes = [change(number, one) for number, one in enumerate(said)]
    for start in range(0, len(changes), batch):
        first.turn(*changes[start : start + batch])
    recorded = [event_of(row) for row in as_table(first.captured).to_pylist()]
    assert recorded == first.captured, "the record gives back what it was given"
    replayed = [read_again(event, DOCUMENTS, READING, "rpl_test") for event in recorded]
    assert all(isinstance(item, RecordEvent) for item in replayed)
    for start in range(0, len(replayed), again):
        second.turn(*replayed[start : start + again])  # type: ignore[arg-type]
    assert second.ledger.profiles == first.ledger.profiles and second.story() == first.story()
    assert [(e.key, e.digest) for e in second.captured] == [(e.key, e.digest) for e in first.captured]
