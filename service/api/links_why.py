"""What is shown at links that follow from records, wherever a link is shown to a steward."""

from __future__ import annotations

from collections.abc import Iterable

from service.api.context import Services
from service.api.record_render import why_json
from service.api.render import Json
from service.model.evidence import Link
from service.model.identifiers import LinkId


async def whys(services: Services, links: Iterable[Link]) -> dict[LinkId, Json]:
    """For each link that follows from records: what its fields say, and what would make it certain enough."""
    target = services.policy().min_confidence_probabilistic
    found = await services.matching.records.why(links, target)
    return {link_id: why_json(why) for link_id, why in found.items()}
