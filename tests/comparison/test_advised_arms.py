"""The arms that the tests of a comparison leave, and the length of the warmup that the headline advises."""

from functools import partial

import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, failing, lr_line, shapes, table

from warmup_lab.comparison.advised_arms import advised_arms, advised_level
from warmup_lab.comparison.headline import headline
from warmup_lab.comparison.numbers import use_text
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import Question


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(table(*(failing(n, 12, warmup) for n, warmup in ((11, 0), (6, 8), (2, 36), (0, 108)))),
                     id="failures"),
        pytest.param(table(*(arm(SEED_EFFECT + change + NOISE * rank, warmup) for rank, (change, warmup) in
                             enumerate(((0.4, 0), (0.2, 8), (0.0, 36), (0.01, 108)))), ), id="metric"),
        pytest.param(table(lr_line([1, 1, 2, 1, 2, 1, 1, 2], (1e-3, 2e-3, 4e-3, 8e-3), 0),
                           lr_line([2, 3, 2, 3, 2, 2, 3, 3], (1e-3, 2e-3, 4e-3, 8e-3), 36),
                           lr_line([3, 3, 3, 3, 3, 2, 3, 3], (1e-3, 2e-3, 4e-3, 8e-3), 108)), id="lr50"),
    ],
)  # fmt: skip
def test_advised_length_is_that_of_the_headline(runs):
    found = compare(runs, Question("eval_loss", margin=0.05))
    assert any(trend.p_adjusted < 0.05 for trend in found.trends)
    assert headline(found).startswith(use_text(advised_level(found)))


def test_no_length_is_advised_without_a_trend():
    runs = table(arm(SEED_EFFECT, 0), arm(SEED_EFFECT + NOISE), arm(SEED_EFFECT - NOISE, 108))
    assert advised_level(compare(runs, Question("eval_loss"))) is None


@pytest.mark.parametrize(
    ("changes", "kept", "basis"),
    [
        ({"sqrt": -0.2, "cosine": 0.0}, ["sqrt"], "decided by test: it is better than the reference"),
        ({"sqrt": 0.2, "cosine": 0.3}, ["linear"], "decided by test: everything else is worse"),
        ({"sqrt": 0.0, "cosine": 0.0}, ["linear"], "decided by test: everything else is as good, within the margin"),
        ({"sqrt": 0.2, "cosine": 0.0}, ["linear", "sqrt", "cosine"], ""),
    ],
)  # fmt: skip
def test_verdicts_leave_the_arms_they_favour(changes, kept, basis):
    others = {name: arm(SEED_EFFECT + change + 0.1 * NOISE) for name, change in changes.items()}
    runs = shapes(linear=arm(SEED_EFFECT), **others)
    found = compare(runs, Question("eval_loss", margin=0.05, reference="linear"))
    left = advised_arms(found, found.arms, [0, 1, 2], partial(min, key=lambda row: found.arms[row].mean))
    assert ([found.arms[row].name for row in left.rows], left.basis) == (kept, basis)
