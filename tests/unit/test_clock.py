"""A clock that is put right by the one that all instances share."""

from __future__ import annotations

import pytest

from service.clock import SteeredClock, monotonic_s, now_ms


@pytest.mark.parametrize("off_ms", [-600_000, -2_000, 1_500, 86_400_000])
def test_a_clock_that_is_off_is_put_right(off_ms: int) -> None:
    clock, now = SteeredClock(), monotonic_s()
    clock.steer(now_ms() + off_ms, now - 0.01, now)
    assert abs(clock.now_ms() - now_ms() - off_ms) < 100
    clock.steer(now_ms(), now, monotonic_s())
    assert clock.off_ms == 0


def test_what_may_be_the_way_there_and_back_is_no_difference() -> None:
    clock, now = SteeredClock(), monotonic_s()
    clock.steer(now_ms(), now - 0.8, now)
    assert clock.off_ms == 0
