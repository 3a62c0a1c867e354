"""Where the loss starts to jitter: bounds, detection by hand, simulated false alarms, and advice."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from warmup_lab.comparison.lr_jitter.advice import MULTIPLES, Trial, gain, largest_surviving, recommend
from warmup_lab.comparison.lr_jitter.onset import CONFIDENCE, Onset, binned, find_onset, over_seeds
from warmup_lab.comparison.statistics import wilson, wilson_bounds

T = 200
LR = 1e-4 * 1000 ** (np.arange(T) / (T - 1))
"""Three decades up to 0.1, as the experiment has."""


# --------------------------------------------------------------------------------------------- the bounds


@pytest.mark.parametrize(("count", "total"), [(0, 20), (1, 50), (6, 20), (20, 20)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_one_sided_bounds_are_scipys(count, total, confidence):
    """A one-sided bound is an end of the two-sided interval that leaves the same tail on each side."""
    theirs = stats.binomtest(count, total).proportion_ci(confidence_level=2 * confidence - 1, method="wilson")
    assert wilson_bounds(count, total, confidence=confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_one_sided_bounds_by_hand():
    """With no success the upper bound is z^2 / (n + z^2), with nothing but successes the lower one n / (n + z^2)."""
    z2 = 2.3263478740408408**2  # 99 % of the normal distribution
    assert wilson_bounds(0, 50, confidence=0.99)[1] == pytest.approx(z2 / (50 + z2))
    assert wilson_bounds(20, 20, confidence=0.99)[0] == pytest.approx(20 / (20 + z2))
    assert wilson_bounds(0, 0, confidence=0.99) == (0.0, 1.0)


# ------------------------------------------------------------------------------------------ detection


def onset(column: np.ndarray, total_steps: int = T) -> Onset:
    return find_onset(column, LR[: len(column)], total_steps=total_steps)


def test_a_clean_step_is_found_at_its_first_update():
    """0 of 50 has the upper bound 0.1171; of a window of 20, 6 have the lower bound 0.1163 and 7 have 0.1478."""
    column = np.zeros(T)
    column[120:] = 1
    found = onset(column)
    assert (found.step, found.lr) == (120, LR[120])
    assert (found.window_size, found.window_count) == (20, 7)
    assert found.window_lr == (LR[107], LR[126])
    assert (found.low_count, found.low_total) == (0, 50)
    z = 2.5758293035489004  # 99.5 % of the normal distribution
    lower = (7 + z**2 / 2 - z * math.sqrt(7 * 13 / 20 + z**2 / 4)) / (20 + z**2)
    assert found.window_lower == pytest.approx(lower)
    assert found.low_upper == pytest.approx(z**2 / (50 + z**2))


def test_six_of_twenty_do_not_stand_out_and_seven_do():
    column = np.zeros(T)
    column[100:112:2] = 1
    assert onset(column).lr is None
    assert onset(column).window_count == 6
    assert onset(column).unknown is None
    column[113] = 1
    assert onset(column).step == 100


def test_noise_near_lr_0_is_no_low_lr_rate():
    """Every second update of the first quarter raises the loss, then none, then all: the calm quarter counts."""
    column = np.zeros(T)
    column[0:50:2] = 1
    column[150:] = 1
    found = onset(column)
    assert found.step == 150
    assert (found.low_count, found.low_total) == (0, 50)


def test_a_lone_overshoot_long_before_is_not_the_start():
    column = np.zeros(T)
    column[[60, *range(150, T)]] = 1
    assert onset(column).step == 150


def test_a_rate_that_is_the_same_everywhere_is_no_jitter():
    found = onset(np.tile([0.0, 0.0, 0.0, 1.0], T // 4))
    assert found.lr is None
    assert found.unknown is None


def test_where_the_loss_always_rises_nothing_can_be_said():
    found = onset(np.ones(T))
    assert found.lr is None
    assert "50 of 50 updates even in the calmest quarter" in found.unknown


def test_a_ramp_that_diverges_early_says_nothing_and_one_that_diverges_late_does():
    """The first quarter and the window are those of the planned updates."""
    assert "diverged before" in onset(np.zeros(60)).unknown
    late = np.zeros(140)
    late[130:] = 1
    assert onset(late).step == 130


def test_updates_that_were_not_probed_are_left_out():
    """Every second update of 400: the same 200 probes, so the same answer at twice the update."""
    column = np.full(2 * T, np.nan)
    column[::2] = 0
    column[240::2] = 1
    rates = 1e-4 * 1000 ** (np.arange(2 * T) / (2 * T - 1))
    found = find_onset(column, rates, total_steps=2 * T)
    assert (found.step, found.window_size, found.low_total) == (240, 20, 50)


@pytest.mark.parametrize(("rate", "total"), [(0.01, 200), (0.1, 200), (0.3, 200), (0.3, 1000), (0.7, 1000)])
def test_false_alarms_at_a_constant_rate_are_rare(total, rate):
    """400 ramps: 5 % of 4,000 (the docstring's figure) would pass 7.5 % of 400 once in 70 times; fixed seeds."""
    rng = np.random.default_rng([total, int(1000 * rate)])
    columns = (rng.random((400, total)) < rate).astype(float)
    alarms = sum(find_onset(column, np.ones(total), total_steps=total).lr is not None for column in columns)
    assert alarms / 400 < 0.075


def test_at_95_percent_almost_half_of_ramps_would_raise_a_false_alarm(monkeypatch):
    """So the confidence is needed, and the test above can fail."""
    monkeypatch.setattr("warmup_lab.comparison.lr_jitter.onset.CONFIDENCE", 0.95)
    columns = (np.random.default_rng(0).random((400, T)) < 0.3).astype(float)
    alarms = sum(find_onset(column, LR, total_steps=T).lr is not None for column in columns)
    assert alarms / 400 > 0.4
    assert CONFIDENCE == 0.995


@pytest.mark.parametrize(("rate", "power", "late"), [(0.4, 0.97, 6), (0.6, 0.995, 3)])
def test_a_step_is_found_near_where_it_is(rate, power, late):
    """Overshoot steps from 0 to `rate` half-way through 200 updates; `late` updates are 3.5 % of lr each."""
    rng = np.random.default_rng(1)
    columns = (rng.random((400, T)) < np.where(np.arange(T) < T // 2, 0.0, rate)).astype(float)
    steps = [found.step for column in columns if (found := onset(column)).step is not None]
    assert len(steps) / 400 >= power
    assert 0 <= np.median(steps) - T // 2 <= late


def ramp_at(step: int | None, unknown: str | None = None) -> Onset:
    lr = None if step is None else float(LR[step])
    return Onset(lr, step, None, 0, 20, None, 0, 50, 0.1, 0.1, unknown)


def test_the_median_is_on_a_logarithmic_scale_with_two_digits():
    """Of an even number: the geometric mean of the middle two."""
    found = over_seeds([ramp_at(step) for step in (100, 110, 120, 130, 140, 150)])
    assert found.median == float(f"{math.sqrt(LR[120] * LR[130]):.2g}")
    assert (found.low, found.high) == (LR[100], LR[150])


def test_a_seed_that_never_jitters_counts_as_above():
    found = over_seeds([ramp_at(step) for step in (100, 110, 120, None, None)])
    assert found.median == float(f"{LR[120]:.2g}")
    assert found.num_never == 2
    most = over_seeds([ramp_at(step) for step in (100, 110, None, None, None)])
    assert most.median is None
    assert "at 3 of 5 seeds the loss did not start to jitter up to lr 0.1" in most.reason


def test_too_few_readable_ramps_have_no_median():
    found = over_seeds([*[ramp_at(100)] * 4, ramp_at(None, "broken")])
    assert found.median is None
    assert found.reason == "only 4 of 5 ramps can be read, and 5 are needed: broken"


def test_bins_count_overshoots_and_take_the_median_loss():
    rows = binned([0, 1, np.nan, 1], [3.0, 1.0, 2.0, np.nan], [0.1, 0.2, 0.3, 0.5], [0.1, 0.4, 0.6])
    assert rows == [(1, 2, 2.0), (1, 1, None)]


# --------------------------------------------------------------------------------------------- advice


def trial(start: str, multiple: float, survivors: int, of: int = 5, loss: float = 0.5) -> Trial:
    seeds = tuple(range(of))
    losses = {seed: loss + 0.01 * (seed if start == "cold" else of - 1 - seed) for seed in seeds[:survivors]}
    return Trial(start, multiple * 0.004, multiple, 0 if start == "cold" else 20, wilson(survivors, of),
                 seeds[:survivors], seeds, losses)  # fmt: skip


def trials(cold: tuple[int, ...], warmed: tuple[int, ...], warmed_loss: float = 0.5) -> list[Trial]:
    """Survivors of 5 at 1/4, 1/2, 1, 2 and 4 times."""
    made = [trial("cold", multiple, count) for multiple, count in zip(MULTIPLES, cold, strict=True)]
    return made + [
        trial("warmed", multiple, count, loss=warmed_loss) for multiple, count in zip(MULTIPLES, warmed, strict=True)
    ]


def test_half_of_the_jitter_lr_without_warmup_where_all_cold_runs_survived():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0)))
    assert (found.lr, found.multiple, found.warmup_steps) == (0.002, 0.5, 0)
    assert "5 of 5 runs that held it survived" in found.lr_reason
    assert "was not shown to lower the loss" in found.warmup_reason
    assert found.cautions == ()


def test_a_warmup_that_raises_the_loss_is_said_to():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0), warmed_loss=0.6))
    assert found.warmup_steps == 0
    assert "one of 20 updates raised the loss" in found.warmup_reason


def test_the_smaller_rate_where_it_ends_lower():
    """Losses at 1/4 are 0.3 lower at every seed but for noise of 0.01: the interval is far below 0."""
    made = trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0))
    lower = [
        dataclasses.replace(one, eval_loss={seed: loss - 0.3 - 0.01 * seed for seed, loss in one.eval_loss.items()})
        if one.multiple == 0.25
        else one
        for one in made
    ]
    found = recommend(0.004, None, lower)
    assert (found.lr, found.multiple, found.warmup_steps) == (0.001, 0.25, 0)
    assert "They ended lower than at 0.002, which all survived too (final evaluation loss -0.32 [" in found.lr_reason
    assert found.cautions == ("It is the smallest rate that was tried: one still smaller may end lower yet.",)


def test_a_warmup_where_it_lowers_the_loss_although_cold_runs_survive():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0), warmed_loss=0.4))
    assert (found.lr, found.warmup_steps) == (0.002, 20)
    assert "lowers the loss" in found.warmup_reason


def test_a_warmup_where_cold_runs_failed_and_warmed_ones_did_not():
    found = recommend(0.004, None, trials((5, 4, 3, 0, 0), (5, 5, 5, 1, 0)))
    assert (found.lr, found.warmup_steps) == (0.002, 20)
    assert "only 4 of 5 cold runs survived" in found.warmup_reason


def test_no_warmup_where_only_warmed_runs_failed():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 4, 5, 1, 0)))
    assert (found.lr, found.warmup_steps) == (0.002, 0)
    assert "4 of 5 with a warmup of 20 updates" in found.warmup_reason


def test_a_quarter_and_a_caution_where_runs_at_half_failed():
    found = recommend(0.004, None, trials((5, 4, 3, 0, 0), (5, 4, 4, 1, 0)))
    assert (found.lr, found.multiple) == (0.001, 0.25)
    assert "The stages disagree at 0.002" in found.cautions[0]
    assert "4 of 5 cold, 4 of 5 warmed" in found.cautions[0]


def test_a_caution_where_all_runs_survive_beyond_the_jitter_lr():
    found = recommend(0.004, None, trials((5, 5, 5, 5, 0), (5, 5, 5, 5, 5)))
    assert found.lr == 0.002
    assert "no hard limit here: all runs survived cold up to 0.008 and warmed up to 0.016" in found.cautions[0]


def test_nothing_is_recommended_that_no_run_confirmed():
    assert recommend(None, "it never jitters", []).lr is None
    assert "because there is no jitter lr: it never jitters." in recommend(None, "it never jitters", []).lr_reason
    assert "no run at a constant rate has confirmed" in recommend(0.004, None, []).lr_reason
    slow = recommend(0.004, None, trials((0, 4, 5, 0, 0), (0, 4, 5, 0, 0)))
    assert slow.lr is None
    assert "seem too slow" in slow.lr_reason
    broken = recommend(0.004, None, trials((0, 4, 4, 0, 0), (0, 4, 0, 0, 0)))
    assert "the stages disagree" in broken.lr_reason
    assert "breaks what a ramp only passes" in broken.lr_reason
    assert "or below has finished" in recommend(0.004, None, [trial("cold", 4.0, 5)]).lr_reason


def test_the_largest_surviving_lr_is_that_of_every_run_and_says_where_the_limit_is_open():
    made = trials((0, 5, 4, 5, 3), (5, 5, 5, 5, 5))
    assert largest_surviving(made, "cold").lr == 0.008
    assert not largest_surviving(made, "cold").at_edge
    assert largest_surviving(made, "warmed").at_edge
    assert largest_surviving(trials((0,) * 5, (0,) * 5), "cold").lr is None


def gained(cold: tuple[int, ...], warmed: tuple[int, ...]):
    made = trials(cold, warmed)
    return gain(made, largest_surviving(made, "cold"), largest_surviving(made, "warmed"))


def test_what_warmup_buys():
    """Cold: seeds 0 to 2 survive 0.004, all 0.002. Warmed: all 0.004, seed 0 0.008. So 1 + 2 larger, 2 equal."""
    found = gained((5, 5, 3, 0, 0), (5, 5, 5, 1, 0))
    assert (found.ratio, found.bound) == (2.0, None)
    assert (found.seeds_larger, found.seeds_equal, found.seeds_smaller) == (3, 2, 0)
    assert found.p_value == 0.25  # 2 / 2**3
    same = gained((5, 5, 2, 0, 0), (5, 5, 3, 0, 0))
    assert same.ratio == 1.0
    assert "up to the same lr, 0.002, warmed and cold" in same.sentence
    assert gained((5, 5, 3, 0, 0), (5, 5, 5, 5, 5)).bound == "at least"
    assert gained((5, 5, 5, 5, 5), (5, 5, 3, 0, 0)).bound == "at most"
    assert gained((5, 5, 5, 5, 5), (5, 5, 5, 5, 5)).ratio is None
    nothing = gained((4, 4, 4, 4, 4), (5, 5, 5, 5, 4))
    assert nothing.ratio is None
    assert "at no rate that was tried did all cold runs survive" in nothing.sentence
