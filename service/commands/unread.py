"""Webhooks that are well signed and can't be read: kept, so that nobody's withdrawal is lost because of its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UnreadWebhook:
    """One of them. `key`: keyed digest of provider, id and body; `answer_key`: under which an answer to its id is kept.

    `received_at` in ms. `why`: what is wrong with it, without values. `digest`: keyed, of the whole body.
    """

    key: str
    answer_key: str
    provider: str
    webhook_id: str
    received_at: int
    code: str
    why: tuple[str, ...]
    digest: str
    body: bytes


class UnreadWebhooks(Protocol):
    """Where they are kept."""

    async def keep(self, unread: UnreadWebhook) -> str | None:
        """Keep it once, however often it is sent, unless its id was answered before: then the fingerprint of the body
        that was answered. Raises StoreUnavailable.
        """
