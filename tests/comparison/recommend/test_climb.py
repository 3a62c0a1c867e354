"""Where the loss of a short ramp climbs: by hand without noise, and simulated with it."""

import numpy as np
import pytest

from warmup_lab.comparison.recommend.climb import climb_lr, fall_lr

T = 60
LR = 1e-6 * 1e4 ** (np.arange(T) / (T - 1))
H = 1.0


def fall(num_updates=T, floor=0.1):
    """Guessing for a third of the updates, then a fall."""
    step = np.arange(num_updates)
    return np.where(step < num_updates / 3, H, floor + (H - floor) * np.exp(-9 * (step / num_updates - 1 / 3).clip(0)))


def test_a_jump_back_to_guessing_is_dated_at_its_last_low_median():
    """The median of 5 losses is still low with 2 of them high: updates 45 and 46."""
    loss = fall()
    loss[45:] = H
    assert climb_lr(loss, LR, H) == LR[46]


def test_a_loss_that_only_falls_or_was_never_low_does_not_climb():
    assert climb_lr(fall(), LR, H) is None
    shallow = fall(floor=0.85)
    shallow[45:] = 3.0
    assert climb_lr(shallow, LR, H) is None
    assert climb_lr(np.full(T, H), LR, H) is None


def test_a_climb_of_less_than_half_of_the_way_is_none():
    """It falls to about 0.1, so half of the way is 0.55."""
    loss = fall()
    lowest = loss[44]
    loss[45:] = lowest + 0.4 * (H - lowest)
    assert climb_lr(loss, LR, H) is None
    loss[45:] = lowest + 0.6 * (H - lowest)
    assert climb_lr(loss, LR, H) is not None


def test_only_the_losses_before_a_divergence_count_and_a_few_say_nothing():
    loss = fall()
    loss[45:] = np.nan
    assert climb_lr(loss, LR, H) is None
    assert climb_lr(loss[:20], LR[:20], H) is None


@pytest.mark.parametrize(
    ("num_updates", "noise", "found_at_least"), [(60, 0.02, 1.0), (60, 0.1, 0.75), (200, 0.02, 1.0), (200, 0.1, 0.98)]
)
def test_noise_is_no_climb_and_hides_few(num_updates, noise, found_at_least):
    rng = np.random.default_rng(num_updates)
    lr = np.geomspace(1e-6, 1e-2, num_updates)
    break_at = 3 * num_updates // 4
    false_alarms, found = 0, []
    for _ in range(200):
        loss = fall(num_updates) + noise * rng.standard_normal(num_updates)
        false_alarms += climb_lr(loss, lr, H) is not None
        loss[break_at:] += H - fall(num_updates)[break_at:]
        found.append(climb_lr(loss, lr, H))
    known = [np.log(one / lr[break_at]) / np.log(lr[1] / lr[0]) for one in found if one is not None]
    assert false_alarms <= 4
    assert len(known) >= found_at_least * 200
    assert np.abs(np.median(known)) <= max(3, num_updates / 20)


def test_the_loss_falls_where_it_is_half_way_down():
    """Guessing for 30 updates, then 0.1: 3 of the 5 losses of a median are low from update 30 on, its middle."""
    loss = np.where(np.arange(T) < 30, H, 0.1)
    assert fall_lr(loss, LR, H) == LR[30]
    assert fall_lr(np.full(T, 0.85), LR, H) is None
    assert fall_lr(loss[:20], LR[:20], H) is None
