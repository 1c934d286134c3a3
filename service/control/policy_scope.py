"""What a change of policy asks of the profiles that are there: which of them have to be resolved anew. Pure."""

from __future__ import annotations

from service.model.policy import Namespace, Policy
from service.model.policy_versions import Pass

LINKS = "links"
RECORDS = "records"


def _matters(namespace: Namespace) -> tuple[object, ...]:
    """What of a namespace's rules bears on how its identifiers are resolved."""
    return (
        namespace.kind,
        namespace.priority,
        namespace.max_per_profile,
        namespace.max_links,
        namespace.contested,
        namespace.pattern.pattern if namespace.pattern else None,
    )


def _bears_on_all(policy: Policy) -> tuple[object, ...]:
    """What bears on every identifier: sizes, blocked values, and whether linking is permitted where nobody said so."""
    linking = policy.purposes.get(policy.linking_purpose)
    return (
        policy.max_profile_size,
        policy.review_above,
        policy.blocked_values,
        policy.linking_purpose,
        linking.unset if linking else None,
    )


def _bears_on_links(policy: Policy) -> tuple[object, ...]:
    ttls = {name: namespace.ttl_ms for name, namespace in policy.namespaces.items() if namespace.ttl_ms is not None}
    thresholds = (policy.min_confidence_deterministic, policy.min_confidence_probabilistic)
    return thresholds, ttls, dict(policy.sources)


def stages_between(old: Policy, new: Policy) -> tuple[str, ...]:
    """The stages of the pass that makes profiles what they would be had all evidence come under `new`.

    A link's activity depends on its confidence, its own or its source's, and on its ends' time to live. What is joined
    depends on the rules of the namespaces of both ends: a pair of profiles comes out otherwise only where one of them
    holds an identifier of a namespace whose rules differ. Links that follow from records follow from the section
    `matching` too. None at all where nothing that profiles rest on differs.
    """
    stages = [LINKS] if _bears_on_links(old) != _bears_on_links(new) else []
    stages += [RECORDS] if old.matching != new.matching else []
    names = sorted(old.namespaces.keys() & new.namespaces.keys())  # of a new one there is nobody yet
    if _bears_on_all(old) == _bears_on_all(new):
        names = [name for name in names if _matters(old.namespaces[name]) != _matters(new.namespaces[name])]
    stages += [f"{name}:" for name in names]
    return tuple(stages)


def pass_after(running: Pass, stages: tuple[str, ...], counts: tuple[int, int]) -> Pass:
    """The pass after an activation: with the stages of one that is still running, from the start.

    `counts`: links and identifiers there are; the total is at most what is looked at.
    """
    wanted = set(stages) | (set() if running.is_over else set(running.stages))
    namespaces = sorted(wanted - {LINKS, RECORDS})
    ordered = [stage for stage in (LINKS, RECORDS) if stage in wanted] + namespaces
    links, identifiers = counts
    total = links * (LINKS in wanted) + identifiers * (bool(namespaces) + (RECORDS in wanted))
    return Pass(tuple(ordered), total=total)


def unsafe_namespaces(old: Policy, new: Policy) -> dict[str, tuple[str, str]]:
    """Changes of namespaces that can't be while identifiers of them are known: where, and what is wrong."""
    found = {}
    for name, was in old.namespaces.items():
        now = new.namespaces.get(name)
        if now is None:
            found[name] = (f"/namespaces/{name}", "is in use and can't be dropped")
        elif was.hashed != now.hashed:
            found[name] = (f"/namespaces/{name}/hash", "can't change while the namespace is in use")
        elif was.fold_case != now.fold_case:
            found[name] = (f"/namespaces/{name}/fold_case", "can't change while the namespace is in use")
        elif was.is_household != now.is_household:
            found[name] = (f"/namespaces/{name}/kind", "can't become or cease to be a household's while in use")
    return found
