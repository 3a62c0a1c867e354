"""What helps against failures: a smaller learning rate only where runs were unstable."""

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, arm, failing, table

from warmup_lab.comparison.failure_advice import failure_sentence, failures_over_lr, remedy
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.verdicts import Question


def arms_of(*parts):
    runs = read_runs(table(*parts), "eval_loss")
    return [runs.summary(row) for row in range(len(runs.arms))]


def failed_with(*kinds, **columns):
    """An arm whose runs all failed, one run per kind."""
    return arm([GUESS_LOSS] * len(kinds), failed_to_learn=True, failure_kind=list(kinds), **columns)


@pytest.mark.parametrize(
    ("kinds", "action", "why"),
    [
        (["stuck"] * 6, "train_longer", "none of the 6 failed runs was unstable"),
        (["too_slow"] * 4 + ["stuck"] * 2, "train_longer", "none of the 6 failed runs was unstable"),
        (["unstable"] + ["stuck"] * 5, "train_longer", "1 of the 6 failed runs was unstable"),
        (["unstable"] * 3 + ["stuck"] * 3, "lower_lr", "3 of the 6 failed runs were unstable"),
        (["unstable"] * 6, "lower_lr", "all 6 failed runs were unstable"),
        ([None] * 6, "either", "why they failed is not known"),
    ],
)
def test_runs_that_were_not_unstable_need_more_updates(kinds, action, why):
    found = remedy(arms_of(failed_with(*kinds)))
    assert (found.action, found.why, found.updates) == (action, why, 4 * 360)
    orders = {
        "train_longer": "Train for more updates, for example 1440 instead of 360",
        "lower_lr": "Lower the learning rate",
        "either": "Train for more updates, or try other learning rates",
    }
    assert found.text == orders[action]


def test_runs_too_short_for_a_kind_need_more_updates():
    found = remedy(arms_of(failed_with(*[None] * 6, total=20, warmup=2)))
    assert (found.action, found.text) == ("train_longer", "Train for more updates, for example 80 instead of 20")


def test_no_failures_need_no_remedy():
    assert remedy(arms_of(arm([0.3] * 6))) is None
    assert failure_sentence(arms_of(arm([0.3] * 6))) == ""


def over_lr(*num_failed, kind="stuck"):
    """6 runs at each of several learning rates, of which so many failed."""
    rates = [1e-4 * 4**row for row in range(len(num_failed))]
    parts = [failing(count, 6, lr=lr) for count, lr in zip(num_failed, rates, strict=True)]
    return arms_of(*(part.assign(failure_kind=kind) for part in parts))


def test_stuck_runs_at_the_large_learning_rates_are_a_sign_of_instability():
    """Boschloo's p of 0 of 6 against 6 of 6 is 0.0005."""
    arms = over_lr(0, 2, 6)
    assert failures_over_lr(arms) == "rising"
    found = remedy(arms)
    assert (found.action, found.why) == ("lower_lr", "more runs fail at larger learning rates")


def test_failures_at_small_learning_rates_need_more_updates_or_a_larger_rate():
    arms = over_lr(6, 2, 0)
    assert failures_over_lr(arms) == "falling"
    found = remedy(arms)
    assert found.action == "train_longer"
    assert found.text.endswith("instead of 360, or raise the learning rate")


def test_no_slope_without_a_significant_difference():
    assert failures_over_lr(over_lr(5, 6)) is None
    assert failures_over_lr(over_lr(6)) is None


def test_the_sentence_names_the_kinds_and_what_helps():
    arms = arms_of(failed_with(*["unstable"] * 9, *["too_slow"] * 4))
    assert failure_sentence(arms) == (
        "Of them, 9 were unstable (diverged, or the loss rose) and 4 too slow (the loss was still falling at the end). "
        "To avoid failures: lower the learning rate (9 of the 13 failed runs were unstable)."
    )
    assert failure_sentence(arms, advise=False).endswith("(the loss was still falling at the end).")


def test_the_sentence_of_one_kind():
    stuck = arms_of(failed_with("stuck", "stuck"))
    assert failure_sentence(stuck, advise=False) == "All were stuck (the loss neither rose nor fell at the end)."
    assert failure_sentence(arms_of(failed_with("unstable")), advise=False).startswith("It was unstable (diverged")


# ---------------------------------------------------------------------------------------- in the headline


def test_the_headline_of_stuck_runs_advises_more_updates():
    """The sweep of a newcomer: 60 updates are too few with any warmup, and no run is unstable."""
    parts = [failed_with(*["stuck"] * 6, total=60, warmup=warmup) for warmup in (0, 6, 18)]
    assert compare(table(*parts), Question("eval_loss")).headline == (
        "Train for more updates, for example 240 instead of 60: most runs failed to learn with every combination "
        "tried, and none of the 18 failed runs was unstable."
    )


def test_a_decided_trend_of_stuck_runs_advises_more_updates():
    parts = []
    for warmup, num_learned in ((0, 0), (36, 1), (108, 6)):
        failed = np.arange(14) >= num_learned
        losses = np.where(failed, GUESS_LOSS, 0.4)
        parts.append(arm(losses, warmup, failed_to_learn=failed, failure_kind=np.where(failed, "stuck", None)))
    found = compare(table(*parts), Question("eval_loss"))
    assert found.trend("failures").p_adjusted < 0.05
    assert found.headline.startswith(
        "Train for more updates, for example 1440 instead of 360: most runs fail with any warmup tried, and none of "
        "the 35 failed runs was unstable. With no warmup 14 of 14"
    )


def test_failures_at_small_learning_rates_are_no_usable_learning_rate():
    """Runs too slow at 1e-4 would look as if larger rates were less usable the more of them were tried."""
    counts = {0: (6, 4, 0), 36: (6, 1, 0)}
    rates = (1e-4, 4e-4, 1.6e-3)
    parts = [failing(count, 6, w, lr=lr) for w, own in counts.items() for lr, count in zip(rates, own, strict=True)]
    found = compare(table(*parts), Question("eval_loss"))
    assert found.lr_lines == ()
    assert [level.lr50 for level in found.levels] == [None, None]
    assert found.trend("failures") is not None
    assert found.trend("lr50") is None
