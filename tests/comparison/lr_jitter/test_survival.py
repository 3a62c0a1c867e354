"""Multiples of the jitter lr, and the largest rates that runs survive."""

import math

import pytest
from fake_trials import trials

from warmup_lab.comparison.lr_jitter.survival import (
    ALL_MULTIPLES,
    FIRST_MULTIPLES,
    largest_surviving,
    nearest_multiple,
    next_multiples,
)

ROOT2 = math.sqrt(2)


def test_the_largest_lr_that_every_run_survived_and_whether_it_is_the_largest_tried():
    made = trials((0, 5, 4, 5, 3), (5, 5, 5, 5, 5))
    assert largest_surviving(made, "cold").lr == 0.008
    assert not largest_surviving(made, "cold").at_edge
    assert largest_surviving(made, "warmed").at_edge
    assert largest_surviving(trials((0,) * 5, (0,) * 5), "cold").lr is None


def test_multiples_are_a_factor_of_root_2_apart():
    assert pytest.approx((1 / 4, ROOT2 / 4, 1 / 2, ROOT2 / 2, 1, ROOT2, 2)) == FIRST_MULTIPLES
    assert (ALL_MULTIPLES[0], ALL_MULTIPLES[-1]) == pytest.approx((1 / 8, 8))


def test_a_rounded_rate_has_its_planned_multiple():
    assert nearest_multiple(0.00325, 0.0046) == pytest.approx(ROOT2 / 2, rel=1e-12)
    assert nearest_multiple(0.003, 0.002) == pytest.approx(1.5)


def shares(cold: tuple[float, ...], warmed: tuple[float, ...]) -> dict:
    """Share of the runs that failed at 1/2, 0.71 and 1 times the jitter lr."""
    multiples = ALL_MULTIPLES[4:7]
    return {"cold": dict(zip(multiples, cold, strict=True)), "warmed": dict(zip(multiples, warmed, strict=True))}


@pytest.mark.parametrize(
    ("cold", "warmed", "expected"),
    [
        ((0.08, 0.5, 0.92), (0.0, 0.5, 1.0), []),  # 1 of 12 at the low end, 11 of 12 at the high end
        ((0.0, 0.5, 1.0), (0.0, 0.2, 0.8), [ROOT2]),  # some warmed runs survive the largest rate
        ((0.2, 0.5, 1.0), (0.0, 0.2, 1.0), [ROOT2 / 4]),  # some cold runs fail at the smallest
        ((1.0, 1.0, 1.0), (0.2, 0.3, 0.8), [ROOT2 / 4, ROOT2]),
        ((0.3, 0.0, 1.0), (0.3, 0.0, 1.0), []),  # too slow: a smaller rate would fail more
    ],
)
def test_multiples_are_added_until_both_starts_reach_both_ends(cold, warmed, expected):
    assert next_multiples(shares(cold, warmed)) == pytest.approx(expected)


def test_no_multiple_is_added_beyond_an_eighth_and_8():
    never = dict.fromkeys(ALL_MULTIPLES, 0.0)
    always = dict.fromkeys(ALL_MULTIPLES, 1.0)
    assert next_multiples({"cold": never, "warmed": never}) == []
    assert next_multiples({"cold": always, "warmed": always}) == []
