"""The recommendation, from survivors at constant rates."""

import dataclasses

import pytest
from fake_trials import trial, trials

from warmup_lab.comparison.lr_jitter.advice import recommend


def test_half_of_the_jitter_lr_without_warmup_if_all_cold_runs_survived():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0)))
    assert (found.lr, found.multiple, found.warmup_steps) == (0.002, 0.5, 0)
    assert "5 of 5 runs that held it survived" in found.lr_reason
    assert "was not shown to lower the loss" in found.warmup_reason
    assert found.cautions == ()


def test_the_reason_says_that_a_warmup_raises_the_loss():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0), warmed_loss=0.6))
    assert found.warmup_steps == 0
    assert "one of 20 updates raised the loss" in found.warmup_reason


def test_a_smaller_rate_if_it_ends_lower():
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
    assert (
        "They ended lower than at 0.002, which all runs survived too (final evaluation loss -0.32 [" in found.lr_reason
    )
    assert found.cautions == ("It is the smallest rate that was tried: a still smaller one may end lower.",)


def test_a_warmup_if_it_lowers_the_loss_although_cold_runs_survive():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0), warmed_loss=0.4))
    assert (found.lr, found.warmup_steps) == (0.002, 20)
    assert "lowers the loss" in found.warmup_reason


def test_a_warmup_if_cold_runs_failed_and_warmed_ones_did_not():
    found = recommend(0.004, None, trials((5, 4, 3, 0, 0), (5, 5, 5, 1, 0)))
    assert (found.lr, found.warmup_steps) == (0.002, 20)
    assert "only 4 of 5 cold runs survived" in found.warmup_reason


def test_no_warmup_if_only_warmed_runs_failed():
    found = recommend(0.004, None, trials((5, 5, 3, 0, 0), (5, 4, 5, 1, 0)))
    assert (found.lr, found.warmup_steps) == (0.002, 0)
    assert "4 of 5 with a warmup of 20 updates" in found.warmup_reason


def test_a_quarter_and_a_caution_if_runs_at_half_failed():
    found = recommend(0.004, None, trials((5, 4, 3, 0, 0), (5, 4, 4, 1, 0)))
    assert (found.lr, found.multiple) == (0.001, 0.25)
    assert "Ramps and constant rates disagree at 0.002" in found.cautions[0]
    assert "4 of 5 cold, 4 of 5 warmed" in found.cautions[0]


def test_a_caution_if_all_runs_survive_above_the_jitter_lr():
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
    assert "ramps and constant rates disagree" in broken.lr_reason
    assert "breaks a run that a ramp only passes through" in broken.lr_reason
    assert "or below has finished" in recommend(0.004, None, [trial("cold", 4.0, 5)]).lr_reason


@pytest.mark.parametrize(("guess_loss", "is_above"), [(0.51, True), (0.53, False), (None, False)])
def test_a_caution_if_the_runs_end_above_the_loss_of_guessing(guess_loss, is_above):
    """The losses of the five cold runs are 0.50 to 0.54: mean 0.52, SD 0.0158, t(4) = 2.776, so 0.52 +- 0.0196."""
    made = [dataclasses.replace(one, guess_loss=guess_loss) for one in trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0))]
    found = recommend(0.004, None, made)
    assert found.lr == 0.002
    above = [
        "At this lr the mean final evaluation loss is 0.52 [0.5, 0.54], above that of guessing (0.51): the runs "
        "overfit, or are overconfident. Training survives this rate, which does not mean that the model generalises."
    ]
    assert list(found.cautions) == above * is_above


def test_a_rate_at_which_a_run_has_not_ended_is_not_one_that_all_survived():
    """All that ended survived half of the jitter lr, cold and warmed, but one of each is on its way."""
    made = [
        dataclasses.replace(one, num_unfinished=int(one.multiple == 0.5))
        for one in trials((5, 5, 3, 0, 0), (5, 5, 5, 1, 0))
    ]
    assert recommend(0.004, None, made).lr == 0.001
