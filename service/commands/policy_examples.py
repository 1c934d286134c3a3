"""The examples that a policy holds itself to: evidence, a request, what must come out. Run by the code that decides."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from service.commands.compose import note_versions
from service.commands.decisions import profile_now
from service.commands.observe import observe_link
from service.commands.revoke import record_consents
from service.commands.settle import settle
from service.commands.steps import Settle
from service.commands.world import Loaded, Wanted, World
from service.control.decide import decide
from service.control.normalise import Refused, normalise
from service.control.policy_document import Example, PolicyDocument
from service.errors import FieldError
from service.model.changes import ObserveLink
from service.model.decision import Decision
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, LinkId, ProfileId, namespace_of
from service.model.policy import Policy
from service.model.times import parse_rfc3339


def failing_examples(document: Mapping[str, Any], policy: Policy) -> list[FieldError]:
    """The examples of a valid document that do not come out as they must, each with where and what came out."""
    return [
        error
        for index, example in enumerate(PolicyDocument.model_validate(document).tests)
        for error in _failing(example, f"/tests/{index}", policy)
    ]


def _failing(example: Example, place: str, policy: Policy) -> list[FieldError]:
    try:
        decision = _decided(example, policy)
    except Refused as refused:
        return [FieldError(place, f"names an identifier that {refused}")]
    except ValueError:
        return [FieldError(place, "names an identifier that is not namespace:value")]
    came = {
        "outcome": decision.outcome,
        "granularity": decision.granularity,
        "reasons": list(decision.reasons),
        "basis": decision.basis,
        "namespaces": sorted(namespace_of(given.key) for given in decision.identifiers),
    }
    return [
        FieldError(f"{place}/expect/{name}", f"comes out as {came[name]}")
        for name, wanted in example.expect.model_dump(exclude_none=True).items()
        if came[name] != (sorted(wanted) if name == "namespaces" else wanted)
    ]


def _key(text: str, policy: Policy) -> IdentifierKey:
    namespace, colon, value = text.partition(":")
    if not colon:
        raise ValueError("not namespace:value")
    return normalise(namespace, value, policy).key


def _alone(world: World, asks: Generator[Wanted | Settle, Any, Any] | Generator[Wanted, None, Any]) -> None:
    """Run a step, up to where it would be settled, in a graph that holds nothing."""
    for wanted in asks:
        if isinstance(wanted, Settle):
            return
        world.take(world.missing(wanted), Loaded())


def _link(world: World, index: int, a: str, b: str, method: Any, confidence: float, source: str) -> None:
    keys = _key(a, world.policy), _key(b, world.policy)
    if keys[0] == keys[1]:
        raise Refused("b", "is the other end of the link as well")
    sent = ObserveLink(LinkId(f"lnk_{index}"), *keys, method, confidence, source, "example", observed_at=world.now)
    _alone(world, observe_link(world, sent))


def _birth(key: IdentifierKey, counter: int) -> ProfileId:
    return ProfileId(f"prf_{key.replace(':', '.')}/{counter}")


def _decided(example: Example, policy: Policy) -> Decision:
    world = World(policy, _birth, parse_rfc3339(example.now), 0)
    for index, link in enumerate(example.given.links):
        sure = link.confidence if link.confidence is not None else policy.confidence_of_source(link.source)
        _link(world, index, link.a, link.b, link.method, sure, link.source)
    for text in example.given.identifiers:
        key = _key(text, policy)
        if world.state(key).first_seen is None:
            world.change(world.state(key)._replace(first_seen=world.now, last_seen=world.now))
        world.touched.add(key)
    for said in example.given.consents:
        at = world.now if said.at is None else parse_rfc3339(said.at)
        ends = None if said.expires_at is None else parse_rfc3339(said.expires_at)
        records = [
            ConsentRecord(purpose, said.regulation or "", state, at, "example", said.basis, ends)
            for purpose, state in said.purposes.items()
        ]
        _alone(world, record_consents(world, _key(said.identifier, policy), records))
    _alone(world, settle(world))
    note_versions(world)
    asked = example.request
    key = _key(asked.identifier, policy)
    profile = profile_now(world, key, {})
    return decide(profile, key, asked.destination, asked.purpose, asked.regulation, policy, world.now)
