"""What reading evidence, from wherever it comes, has to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.control.link_ids import LinkIds
from service.model.policy import Policy


@dataclass(frozen=True, slots=True)
class Terms:
    """The policy in force, how links are named, and the time in ms."""

    policy: Callable[[], Policy]
    link_ids: LinkIds
    now_ms: Callable[[], int]
