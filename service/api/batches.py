"""A body that is one item, or a batch of them, each answered in its place: what every POST of that kind shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from service.api.reading import Model, items_of, placed, valid_item
from service.commands.carry_out import Outcome
from service.errors import FabricError, FieldError, Internal, Invalid

Wrong = tuple[FieldError, ...]
Change = TypeVar("Change")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Change]):
    """Items as they were sent, and for each the change that it asks for, or what is wrong with it."""

    items: list[Any]
    read: list[Change | Wrong]
    is_single: bool

    @property
    def changes(self) -> list[Change]:
        """What is to be carried out, in order."""
        return [entry for entry in self.read if not isinstance(entry, tuple)]

    def answered(self, outcomes: Sequence[Outcome]) -> Iterator[Outcome | Wrong]:
        """What became of each item, in the order sent."""
        following = iter(outcomes)
        return (entry if isinstance(entry, tuple) else next(following, Internal()) for entry in self.read)


def batch_of(
    content: object, name: str, read: Callable[[object, str], Change | Wrong], *, is_single: bool = False
) -> Batch[Change]:
    """The body `{name: […]}`, or a single item. `read` is given an item and where its pointers start.

    Raises Invalid, also for a single item that is wrong, and TooManyItems.
    """
    items = None if is_single else items_of(content, name)
    if items is not None:
        return Batch(items, [read(item, f"/{name}/{index}") for index, item in enumerate(items)], False)
    entry = read(content, "")
    if isinstance(entry, tuple):
        raise Invalid(errors=entry)
    return Batch([content], [entry], True)


def read_item(
    adapter: TypeAdapter[Model], item: object, place: str, change_of: Callable[[Model], Change]
) -> Change | Wrong:
    """The change that one item asks for, or what is wrong with it, with pointers from `place` on.

    `change_of` raises Invalid with pointers inside the item.
    """
    sent = valid_item(adapter, item, place)
    if isinstance(sent, tuple):
        return sent
    try:
        return change_of(sent)
    except Invalid as error:
        return placed(error.errors, place)


def wrong_with(outcome: Outcome | Wrong) -> Wrong:
    """What is said of an item that was not taken."""
    if isinstance(outcome, tuple):
        return outcome
    error = outcome if isinstance(outcome, FabricError) else Internal()
    return error.pointed
