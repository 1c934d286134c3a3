"""The prober finds a cached answer that is not what the graph says, and takes no change under way for one."""

from __future__ import annotations

import orjson

from service.commands.prober import Prober
from service.model.cached import Fill, Lease
from service.telemetry import Metrics
from tests.service.instances import Instance, fresh, link
from tests.service.test_stalled_graph import cached


async def test_a_wrong_value_in_the_cache_is_found(instance: Instance) -> None:
    api, cache, lookup = instance.api, instance.assembled.cache, instance.assembled.services.lookup
    a, b, c = fresh(), fresh("device_id"), fresh("cookie_id")
    await api.links(link(a, b))
    metrics = Metrics()
    prober = Prober(cache, lambda _count: [(a, "")], lookup.past_cache, metrics)  # type: ignore[list-item]
    while not metrics.registry.get_sample_value("fabric_probe_compared_total"):
        await cached(api, a)  # another instance may drop it once more than is needed
        assert await prober.probe(0) == 0
    await api.links(link(b, c))
    assert await prober.probe(0) == 0, "nothing is cached, or what is true"

    body = (await api.lookup(a)).json
    body["identifiers"] = body["identifiers"][:1]
    version = instance.assembled.policies.active().version
    for _ in range(20):
        await cache.drop([a])
        [lease] = await cache.lease_many([(a, "")], version)
        assert isinstance(lease, Lease)
        await cache.fill_many([Fill(lease, orjson.dumps(body), version, None)])
        if await prober.probe(0):
            break
    assert metrics.registry.get_sample_value("fabric_probe_disagreements_total") == 1
    await cache.drop([a])
    assert (a, "") in lookup.recent(5_000)
