"""Ramps whose loss climbed without a clear start of the jitter."""

import pytest

from warmup_lab.comparison.lr_jitter.climb import climb_reason, loss_climb
from warmup_lab.comparison.lr_jitter.onset import JitterLr


def curve(lr, loss, seed=None):
    return {"seed": seed, "lr": lr, "loss": loss}


CURVES = [curve(1e-4, 0.7), curve(1e-3, 0.6), curve(1e-2, 0.9), curve(1e-1, 0.5), curve(1e-4, 0.1, seed=3)]


def test_the_climb_starts_at_the_lowest_median_loss_before_the_break():
    """The ramps break at a median of 0.04. The lower losses are behind it, or those of a single seed."""
    found = loss_climb([0.02, 0.08, None], CURVES)
    assert (found.num_ramps, found.num_climbed, found.lowest_lr) == (3, 2, 1e-3)
    assert found.break_lr == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("num_climbed", "num_ramps", "num_shown", "explains"),
    [(6, 6, 2, True), (3, 6, 3, True), (2, 6, 2, False), (6, 6, 4, False), (5, 5, 0, False)],
    ids=["all climb", "half climb", "few climb", "most jitter", "too few ramps"],
)
def test_a_climb_explains_why_ramps_show_no_jitter(num_climbed, num_ramps, num_shown, explains):
    break_lrs = [0.02] * num_climbed + [None] * (num_ramps - num_climbed)
    jitter = JitterLr(None, None, None, num_ramps, num_ramps - num_shown, 0, "too few")
    assert loss_climb(break_lrs, CURVES).explains(jitter) == explains


def test_the_reason_asks_for_more_updates_and_not_for_a_higher_ramp():
    jitter = JitterLr(None, 0.005, 0.01, 6, 4, 0, "ramp higher")
    assert climb_reason(loss_climb([0.02, 0.08, None], CURVES), jitter, 200) == (
        "the loss climbed from lr 0.001 on, and by more than its noise on 2 of 3 ramps (at a median lr of 0.04), but "
        "only 2 show where updates start to raise the loss on their own batch. 200 updates are too few for that: set "
        "max_steps=400 or more, or a larger batch_size, so that few updates at a low lr raise the loss"
    )
