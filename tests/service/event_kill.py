"""Events of a run that was killed in their middle: what was acknowledged is there once, the rest can be sent again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import neo4j

from tests.service.instances import Client, Json, named

SOURCE = "killed"


@dataclass(slots=True)
class Sent:
    """Every event that was sent, and the ids of those that were answered."""

    events: list[Json] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)

    def event(self, a: str, b: str) -> Json:
        """One more event about two identifiers."""
        found = {
            "specversion": "1.0",
            "id": f"{a} {b}",
            "source": SOURCE,
            "type": "identify",
            "time": "2026-01-01T00:00:00Z",
            "dataschema": "identify/1-0-0",
            "data": {"identifiers": [named(a), named(b)]},
        }
        self.events.append(found)
        return found


def held(client: Client, sent: Sent, run: Any) -> None:
    """Sent again, each is a duplicate or accepted, acknowledged ones are duplicates; in the end each is there once,
    and so are its identifiers, linked.
    """
    results = []
    for start in range(0, len(sent.events), 500):
        results += client.post("/v1/events", {"events": sent.events[start : start + 500]}).results
    told = {result["id"]: result["status"] for result in results}
    assert set(told.values()) <= {"accepted", "duplicate"}
    assert all(told[event_id] == "duplicate" for event_id in sent.acknowledged)
    graph = run["neo4j"]
    query = (
        "MATCH (e:Event) WHERE e.key STARTS WITH $source "
        "RETURN count(e) AS events, count(DISTINCT e.seq) AS numbers, "
        "sum(COUNT { (e)-[:OF]->() }) AS of, sum(size(e.links)) AS links"
    )
    with neo4j.GraphDatabase.driver(graph["uri"], auth=(graph["user"], graph["password"])) as driver:
        row = driver.execute_query(query, source=f"{SOURCE}\n").records[0]
    count = len(sent.events)
    assert (row["events"], row["numbers"], row["of"], row["links"]) == (count, count, 2 * count, count)
