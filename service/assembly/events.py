"""What capturing events needs."""

from __future__ import annotations

from service.api.event_services import EventServices
from service.commands.schema_book import SchemaBook
from service.control.link_ids import LinkIds
from service.events.canonical import keyed_under
from service.graph.driver import AsyncDriver
from service.graph.event_reader import GraphEvents
from service.graph.lineage import GraphLineage


def event_services(driver: AsyncDriver, database: str, secret: bytes, link_ids: LinkIds) -> EventServices:
    """The schemas, what is read of events, and what is keyed in them."""
    store = GraphEvents(driver, database)
    return EventServices(
        SchemaBook(store),
        store,
        GraphLineage(driver, database),
        link_ids,
        keyed_under(secret, "content"),
        keyed_under(secret, "address"),
    )
