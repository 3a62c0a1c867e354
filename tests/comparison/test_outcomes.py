"""What failed runs count as, by hand."""

import numpy as np
import pytest

from warmup_lab.comparison.outcomes import compared_values, metric_kind

NAN, INF = np.nan, np.inf
H = 0.6931
LEARNED, FAILED = False, True


def compared(metric, values, failed, guess=(H, 0.5), *, smaller_is_better=True):
    """`compared_values` of one arm; the guess is the same for all runs."""
    shape = (1, len(values))
    guesses = np.full(shape, guess[0]), np.full(shape, guess[1])
    found = compared_values(
        metric, np.array([values], dtype=float), np.array([failed]), guesses, smaller_is_better=smaller_is_better
    )
    return found[0].tolist()


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("train_loss", "loss"), ("eval_loss", "loss"), ("eval_accuracy", "score"), ("eval_matthews", "score"),
        ("whole/roughness", "rank"), ("early/roughness", "rank"), ("updates_to_target", "rank"), ("excess", "rank"),
    ],
)  # fmt: skip
def test_losses_and_scores_are_compared_by_value_and_everything_else_by_rank(metric, kind):
    assert metric_kind(metric) == kind


@pytest.mark.parametrize("metric", ["train_loss", "eval_loss"])
def test_a_failed_run_counts_as_the_smaller_of_its_loss_and_that_of_guessing(metric):
    """0.66: it failed by a little; 3.0 and infinity: it diverged; NaN: it ended before the evaluation."""
    values = [0.5, 0.66, 3.0, INF, NAN]
    assert compared(metric, values, [LEARNED, *[FAILED] * 4]) == [0.5, 0.66, H, H, H]


def test_a_run_that_learned_keeps_its_loss_above_that_of_guessing():
    assert compared("eval_loss", [0.9], [LEARNED]) == [0.9]


def test_a_learned_run_without_a_loss_is_missing():
    np.testing.assert_equal(compared("eval_loss", [NAN, INF], [LEARNED, LEARNED]), [NAN, NAN])


def test_without_the_loss_of_guessing_a_failed_run_keeps_its_own():
    np.testing.assert_equal(compared("eval_loss", [0.7, NAN], [FAILED, FAILED], (NAN, NAN)), [0.7, NAN])


def test_a_failed_run_has_the_accuracy_of_the_most_frequent_label():
    """Also if its last evaluation was a little better or worse by chance."""
    found = compared(
        "eval_accuracy", [0.9, 0.62, 0.3, NAN], [LEARNED, *[FAILED] * 3], (H, 0.6), smaller_is_better=False
    )
    assert found == [0.9, 0.6, 0.6, 0.6]


def test_without_the_accuracy_of_guessing_a_failed_run_keeps_its_own():
    assert compared("eval_accuracy", [0.62], [FAILED], (H, NAN), smaller_is_better=False) == [0.62]


def test_other_scores_of_a_failed_run_are_0():
    """F1 and Matthews correlation of a model that always gives the same answer."""
    assert compared("eval_f1", [0.8, 0.1], [LEARNED, FAILED], smaller_is_better=False) == [0.8, 0.0]


def test_a_failed_run_ranks_worst_though_it_is_the_smoothest():
    assert compared("whole/roughness", [0.2, 0.001], [LEARNED, FAILED]) == [0.2, INF]
    assert compared("whole/rho1", [0.2, 0.9], [LEARNED, FAILED], smaller_is_better=False) == [0.2, -INF]


def test_a_target_that_is_never_reached_is_later_than_any_that_is():
    assert compared("updates_to_target", [100, NAN, NAN], [LEARNED, LEARNED, FAILED]) == [100, INF, INF]


@pytest.mark.parametrize("metric", ["whole/onset_step", "onset_lr"])
def test_a_loss_that_never_starts_to_jitter_is_best(metric):
    assert compared(metric, [50, NAN, NAN], [LEARNED, LEARNED, FAILED], smaller_is_better=False) == [50, INF, -INF]


def test_a_missing_oscillation_is_missing():
    np.testing.assert_equal(compared("whole/roughness", [NAN], [LEARNED]), [NAN])


@pytest.mark.parametrize("metric", ["matched/roughness", "excess"])
def test_a_difference_from_a_reference_that_failed_is_better_than_that_reference(metric):
    """The run has no value because its reference failed. As 0, it ranks before the reference, which is the worst."""
    assert compared(metric, [0.02, NAN, NAN], [LEARNED, LEARNED, FAILED]) == [0.02, 0.0, INF]
