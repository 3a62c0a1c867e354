"""The split of the variance against statsmodels' `anova_lm`."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import GUESS_LOSS, arm, table
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from warmup_lab.comparison.evidence import make_design
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.variance import split_variance

LRS = (1e-3, 2e-3, 4e-3)
WARMUPS = (0, 36, 108)


def made_up(num_seeds=5, schedulers=("warmuplinear",), lrs=LRS) -> pd.DataFrame:
    """Losses with an effect of lr, a smaller one of the warmup, an interaction and noise."""
    rng = np.random.default_rng(0)
    return table(
        *(
            arm(
                0.4 + 30 * lr - 5e-4 * warmup - 0.2 * lr * warmup + 0.02 * rng.normal(size=num_seeds),
                warmup, lr=lr, scheduler=scheduler,
            )
            for scheduler in schedulers
            for warmup in WARMUPS
            for lr in lrs
        )
    )  # fmt: skip


def split(runs: pd.DataFrame):
    found = read_runs(runs, "eval_loss")
    compared = found.compared("eval_loss", smaller_is_better=True)
    return split_variance(compared, make_design(found.arms, None))


@pytest.mark.parametrize("schedulers", [("warmuplinear",), ("warmuplinear", "warmupcosine")])
def test_shares_are_the_sums_of_squares_of_a_two_way_anova(schedulers):
    runs = made_up(schedulers=schedulers)
    squares = anova_lm(ols("eval_loss ~ C(lr) * C(warmup_steps)", data=runs).fit())["sum_sq"]
    found = split(runs)
    shares = (squares / squares.sum()).to_dict()
    assert found.lr == pytest.approx(shares["C(lr)"])
    assert found.warmup == pytest.approx(shares["C(warmup_steps)"])
    assert found.interaction == pytest.approx(shares["C(lr):C(warmup_steps)"])
    assert found.rest == pytest.approx(shares["Residual"])
    assert found.lr + found.warmup + found.interaction + found.rest == pytest.approx(1)


def test_the_ranges_are_stated():
    found = split(made_up())
    assert (found.lrs, found.num_runs) == (LRS, 3 * 3 * 5)
    assert found.warmup_percents == pytest.approx((0, 10, 30))


def test_by_hand():
    """2 x 2 cells 0, 0, 0, 4 without noise: each main effect and the interaction has a third."""
    cells = {(0, 1e-3): 0.0, (0, 2e-3): 0.0, (36, 1e-3): 0.0, (36, 2e-3): 4.0}
    found = split(table(*(arm([loss] * 3, warmup, lr=lr) for (warmup, lr), loss in cells.items())))
    assert (found.lr, found.warmup, found.interaction) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found.rest == pytest.approx(0, abs=1e-12)


def test_failed_runs_count_with_the_loss_of_guessing():
    runs = made_up()
    runs.loc[runs["lr"] == 4e-3, ["failed_to_learn", "eval_loss"]] = [True, 9.0]
    at_chance = made_up()
    at_chance.loc[at_chance["lr"] == 4e-3, "eval_loss"] = GUESS_LOSS
    assert split(runs) == split(at_chance)


def test_a_seed_with_a_missing_run_is_left_out():
    runs = made_up()
    runs.loc[(runs["seed"] == 2) & (runs["lr"] == 1e-3) & (runs["warmup_steps"] == 36), "status"] = "error"
    assert split(runs) == split(made_up()[made_up()["seed"] != 2])


def test_a_length_that_lacks_a_learning_rate_is_left_out():
    """The stated range of the warmup is that of the other two lengths."""
    full = made_up()
    found = split(full[(full["warmup_steps"] != 0) | (full["lr"] != 2e-3)])
    assert found == split(full[full["warmup_steps"] != 0])
    assert found.warmup_percents == pytest.approx((10, 30))


def test_there_is_no_split_of_a_grid_that_is_not_full():
    full = made_up()
    assert split(full[full["warmup_steps"] == 36]) is None
    assert split(full[full["lr"] == 1e-3]) is None
    assert split(full[(full["warmup_steps"] == 36) | (full["lr"] != 2e-3) & (full["warmup_steps"] == 0)]) is None
    assert split(full.assign(eval_loss=0.5)) is None
    assert split(full.assign(status="error")) is None
