"""The `delivery` block of a destination in the policy document: read, checked, compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, LiteralString, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.control.conditions import Condition, NotACondition
from service.model.delivery import DeliveryRule
from service.model.times import parse_duration

VARIABLES: Final = frozenset({"event", "profile", "traits", "audiences"})
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError:
        raise PydanticCustomError("not_a_duration", "is not a duration") from None
    return text


def _condition(text: str) -> str:
    try:
        Condition(text, VARIABLES)
    except NotACondition:
        raise PydanticCustomError("not_a_condition", "not_a_condition") from None
    return text


class DeliveryBlock(BaseModel):
    """How the service itself serves a destination. `secret` names an entry of DESTINATION_SECRETS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    settings: dict[Label, Any] = {}
    secret: Label | None = None
    on: Annotated[list[Label], Field(min_length=1, max_length=100)]
    when: Annotated[str, StringConstraints(max_length=4096), AfterValidator(_condition)] = "true"
    mode: Literal["off", "shadow", "live"] = "off"
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    max_gap: Annotated[float, Field(ge=0, le=1)] = 0.01
    min_compared: Annotated[int, Field(ge=1)] = 1_000
    window: Annotated[str, AfterValidator(_duration)] = "PT1H"


def compile_delivery(block: DeliveryBlock | None) -> DeliveryRule | None:
    """The block, compiled."""
    if block is None:
        return None
    return DeliveryRule(
        block.adapter,
        dict(block.settings),
        block.secret,
        frozenset(block.on),
        block.mode,
        block.share,
        block.max_gap,
        block.min_compared,
        parse_duration(block.window),
        Condition(block.when, VARIABLES).holds,
    )


class Surroundings(Protocol):
    """What a block is checked against beside the document: what is installed, and what this instance may reach."""

    def wrong_with(self, rule: DeliveryRule) -> Iterator[tuple[str, str]]:
        """Pointers within the block and what is wrong there."""


def wrong_in_surroundings(
    destinations: Mapping[str, DeliveryRule | None], around: Surroundings
) -> Iterator[tuple[str, str]]:
    """Pointers into the document and what is wrong there: `/destinations/{name}/delivery/…`."""
    for name, rule in destinations.items():
        if rule is not None:
            for place, message in around.wrong_with(rule):
                yield f"/destinations/{name}/delivery{place}", message


UNKNOWN_ADAPTER: Final[LiteralString] = "is not an adapter that is installed"
