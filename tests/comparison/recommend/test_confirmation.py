"""The judgement on other seeds: made-up differences, against scipy and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from warmup_lab.comparison.recommend.confirmation import confirm
from warmup_lab.comparison.verdicts import Question

H = 0.69


def runs_of(differences, failed_without=0, failed_with=0):
    """Pairs of runs at seeds 10, 11, ...; without warmup the loss is larger by the difference."""
    rows = []
    for number, difference in enumerate(differences):
        for start, steps in (("without", 0), ("with", 12)):
            failed = number < (failed_with if steps else failed_without)
            loss = H if failed else 0.3 + 0.01 * number + (0 if steps else difference)
            rows.append({
                "arm": start, "scheduler": "warmuplinear", "warmup_steps": steps, "total_steps": 120, "lr": 1e-3,
                "seed": 10 + number, "status": "completed", "failed_to_learn": failed, "eval_loss": loss,
                "guess_loss": H, "guess_accuracy": 0.5, "run_id": f"{start}{number}",
            })  # fmt: skip
    return pd.DataFrame(rows)


def judged(differences, ended=None, looks=(6, 12), margin=None, **failed):
    runs = runs_of(differences, **failed)
    question = Question("eval_loss", margin=margin, looks=looks)
    return confirm(runs, sorted(set(runs["seed"])) if ended is None else ended, question)


LARGE, SMALL, NOISE = [0.1, 0.12, 0.09, 0.11, 0.1, 0.13], [0.001, -0.001] * 3, [0.1, -0.1, 0.12, -0.11, 0.1, -0.09]


@pytest.mark.parametrize(
    ("differences", "margin", "effect"),
    [
        (LARGE, None, "needed"),
        ([-one for one in LARGE], None, "harmful"),
        (NOISE, None, "undecided"),
        (SMALL, None, "undecided"),
        (SMALL, 0.05, "same"),
        ([0.01 + one for one in SMALL], 0.05, "small"),
    ],
)
def test_the_effect_is_that_of_the_verdict_without_warmup(differences, margin, effect):
    assert judged(differences, margin=margin).effect == effect


def test_a_trend_of_ranks_decides_nothing_that_the_means_contradict():
    """Better without warmup at 11 of 12 seeds; at the other one it fails. Ranks and means say the opposite."""
    found = judged([-0.01] * 12, looks=(12,), failed_without=1)
    assert found.difference > 0
    assert found.effect == "undecided"
    assert judged([-0.01] * 12, looks=(12,)).effect == "harmful"


def test_a_trend_may_decide_what_the_verdict_leaves_open():
    """Without warmup the loss is larger at all 12 seeds, at one of them by so much that the t-test has no power."""
    found = judged([0.001] * 11 + [0.3], looks=(12,))
    pair, ranks = stats.ttest_1samp([0.001] * 11 + [0.3], 0).pvalue, stats.binomtest(12, 12).pvalue
    assert pair > 0.05
    assert found.effect == "needed"
    assert found.p_value == pytest.approx(2 * ranks), "of the trend: it has half of the error"


def test_failures_count():
    assert judged(SMALL * 4, looks=(24,), failed_without=20).effect == "needed"
    assert judged(SMALL, failed_without=6, failed_with=6).effect == "both_fail"


def test_the_interval_is_that_of_the_planned_look():
    """At the first of two looks the level is below 5 %, so the interval is wider than a plain one."""
    found, plain = judged(LARGE), stats.ttest_1samp(LARGE, 0).confidence_interval()
    assert found.difference == pytest.approx(np.mean(LARGE))
    assert found.interval[0] < plain.low
    assert found.interval[1] > plain.high


def test_no_verdict_before_all_seeds_of_the_first_look_have_ended():
    found = judged(LARGE, ended=[10, 11, 12, 13, 14])
    plain = stats.ttest_1samp(LARGE[:5], 0).confidence_interval()
    assert (found.effect, found.judged, found.num_seeds, found.p_value) == ("undecided", 0, 5, None)
    assert found.interval == pytest.approx((plain.low, plain.high))


def test_a_look_that_began_does_not_change_the_verdict_of_the_last():
    """Of 12 planned seeds 7 have ended: the first 6 are judged."""
    found = judged([*LARGE, *[-0.5] * 6], ended=list(range(10, 17)))
    assert (found.effect, found.judged) == ("needed", 6)
    assert found.sides["with"].failed.total == 6


def test_one_start_alone_is_no_comparison():
    runs = runs_of(LARGE)
    assert confirm(runs[runs["warmup_steps"] == 0], [10, 11], Question("eval_loss", looks=(6,))) is None
