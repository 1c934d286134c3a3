"""What a destination's `delivery` block is checked against here: adapters installed, secrets set, hosts allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from service.adapters.delivery.shapes import Adapter
from service.delivery.egress import Allowed
from service.delivery.secrets import Secrets
from service.model.delivery import DeliveryRule


class Installed:
    """See `service.control.policy_delivery.Surroundings`."""

    def __init__(self, adapters: Mapping[str, Adapter], secrets: Secrets, allowed: Allowed) -> None:
        self.adapters = adapters
        self._secrets = secrets
        self._allowed = allowed

    def adapter(self, name: str) -> Adapter | None:
        """An adapter that is installed."""
        return self.adapters.get(name)

    def wrong_with(self, rule: DeliveryRule) -> Iterator[tuple[str, str]]:
        """Pointers within the block and what is wrong there."""
        adapter = self.adapters.get(rule.adapter)
        if rule.secret is not None and rule.secret not in self._secrets:
            yield "/secret", "is not an entry of DESTINATION_SECRETS"
        if adapter is None:
            yield "/adapter", "is not an adapter that is installed"
            return
        wrong = list(adapter.wrong_with(rule.settings))
        for place, message in wrong:
            yield f"/settings{place}", message
        if wrong:
            return
        for name, url in adapter.urls(rule.settings).items():
            refusal = self._allowed.refusal(url)
            if refusal is not None:
                yield f"/settings/{name}", refusal
