"""Sends the sample world through the write path, like any other source would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, Protocol

import orjson

from service.clock import monotonic_s
from service.commands.carry_out import Outcome
from service.commands.ports import Archive, Reader
from service.commands.write_path import WritePath
from service.control.link_ids import LinkIds
from service.errors import FabricError
from service.model.changes import Change, Merge, ObserveLink, Origin, Split
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId
from service.model.policy import Policy
from service.sample.cast import ANNA, ANNAS_PHONE, MARIA, OTHER_MARIA
from service.sample.diary import Entry, SamePerson, SomebodyElse, crm
from service.sample.world import World, world

SEED: Final = 20_26
BATCH_MAX: Final = 1_000
NAMESPACES: Final = (
    "crm_id",
    "login_id",
    "email_sha256",
    "phone_sha256",
    "device_id",
    "cookie_id",
    "session_id",
    "household_id",
)
_ORIGIN: Final = Origin("service:sample", "sample")
_ASSERTIONS_MAX: Final = 20


class SampleServices(Protocol):
    """What loading needs of the service; `service.api.context.Services` has it."""

    @property
    def write_path(self) -> WritePath:
        """Takes the changes."""

    @property
    def reader(self) -> Reader:
        """Says who is in which profile."""

    @property
    def archive(self) -> Archive:
        """Says which merges are in force."""

    @property
    def link_ids(self) -> LinkIds:
        """Names links."""

    @property
    def now_ms(self) -> Callable[[], int]:
        """The time in ms since the epoch, UTC."""


async def load_sample(services: SampleServices, policy: Policy, say: Callable[[str], None]) -> None:
    """Load the world into an empty graph and say so in one line. Never raises for what the service refuses."""
    missing = [name for name in NAMESPACES if name not in policy.namespaces]
    if missing or "advertising" not in policy.purposes:
        say("the sample is left out: the policy lacks " + ", ".join(missing or ["the purpose advertising"]))
        return
    sample = world(SEED, services.now_ms())
    began = monotonic_s()
    try:
        refused = await _tell(services, sample)
    except FabricError as error:
        say(f"the sample is not loaded whole: {error}")
        return
    trouble = f"; {refused} changes were refused" if refused else ""
    say(
        f"the sample is loaded: {sample.people} people, {sample.links:,} observations of two years, "
        f"{monotonic_s() - began:.1f} s{trouble}"
    )


async def sample_is_there(services: SampleServices) -> bool:
    """Whether the graph knows the sample's first person, with a phone."""
    found = await services.reader.profiles([crm(ANNA), ANNAS_PHONE])
    return len(found) == 2


async def wrong_merge(services: SampleServices) -> AssertionId | None:
    """The sample's merge that a steward should undo; None where there is none in force."""
    for assertion in await services.archive.assertions_of(crm(MARIA), _ASSERTIONS_MAX):
        if assertion.kind == "same" and not assertion.undone and crm(OTHER_MARIA) in assertion.named:
            return assertion.assertion_id
    return None


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    """Nobody reads the body: the outcomes are looked at."""
    return 200, orjson.dumps(len(outcomes))


async def _tell(services: SampleServices, sample: World) -> int:
    """Everything in order, links in batches; returns how many changes were refused."""
    refused = 0
    for are_links, run in groupby(sample.entries, key=lambda entry: isinstance(entry.told, ObserveLink)):
        entries = list(run)
        step = BATCH_MAX if are_links else 1
        for start in range(0, len(entries), step):
            changes = [await _change(services, entry) for entry in entries[start : start + step]]
            answered = await services.write_path.submit(changes, _ORIGIN, _render)
            refused += sum(isinstance(outcome, FabricError) for outcome in answered.outcomes)
    return refused


async def _change(services: SampleServices, entry: Entry) -> Change:
    """The change that an entry stands for: links get their ids, stewards' words the profiles of that moment."""
    told = entry.told
    if isinstance(told, ObserveLink):
        return replace(told, link_id=services.link_ids(told.source, told.rule, told.method, told.a, told.b))
    if isinstance(told, SamePerson):
        profiles = await _profiles(services, told.people)
        return Merge(profiles, profiles[0], told.reason)
    if isinstance(told, SomebodyElse):
        (profile,) = await _profiles(services, (told.of,))
        return Split(profile, told.leaving, told.reason)
    return told


async def _profiles(services: SampleServices, keys: Sequence[IdentifierKey]) -> tuple[ProfileId, ...]:
    found = await services.reader.profiles(keys)
    return tuple(found[key].profile_id for key in keys)
