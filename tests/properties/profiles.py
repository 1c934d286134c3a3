"""How long the laws are tried: quickly by default, at length with HYPOTHESIS_PROFILE=deep.

Examples are random in both, but the same in every build (CI); a failure prints the blob that reproduces it
(`@reproduce_failure`). LAW_EXAMPLES sets
the number of examples by hand.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "0"))


def tried(quick: int, deep: int, *, steps: int = 50) -> settings:
    """Settings of one law: so many examples, and `steps` changes at most in each of a state machine's."""
    return settings(
        max_examples=EXAMPLES or (deep if DEEP else quick),
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        derandomize=not DEEP and "CI" in os.environ,  # a build says the same of the same commit
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
