"""Arms of several shapes of warmup: what they are compared with, and what the report says was held equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from warmup_lab.comparison.arms import read_runs
from warmup_lab.comparison.selection import smallest_warmup_as_good_as_best
from warmup_lab.comparison.sentences import what_was_held_equal
from warmup_lab.comparison.verdicts import compare

ARMS = [("none", 0), ("linear", 10), ("linear", 20), ("sqrt", 10), ("sqrt", 20)]


@pytest.fixture
def runs() -> pd.DataFrame:
    """Six seeds of each arm, of 100 updates; noise of a fixed seed, no difference."""
    noise = np.random.default_rng(0).normal(0.5, 0.01, (len(ARMS), 6))
    return pd.DataFrame(
        {
            "run_id": f"{shape}{steps}-{seed}", "arm": f"{shape}-w{steps}", "scheduler": "warmuplinear",
            "warmup": shape, "warmup_steps": steps, "total_steps": 100, "lr": 1e-3, "seed": seed,
            "status": "completed", "failed_to_learn": False, "eval_loss": noise[row, seed],
        }
        for row, (shape, steps) in enumerate(ARMS)
        for seed in range(6)
    )  # fmt: skip


def test_the_reference_of_every_shape_is_the_usual_one_at_ten_percent(runs):
    verdicts = compare(runs, metric="eval_loss").verdicts
    assert {verdict.reference for verdict in verdicts} == {"linear-w10"}


def test_the_smallest_warmup_is_told_shape_by_shape(runs):
    found = smallest_warmup_as_good_as_best(runs, metric="eval_loss", margin=0.1, method="every_arm")
    assert [one.arms for one in found] == [
        ("none-w0", "linear-w10", "linear-w20"),
        ("none-w0", "sqrt-w10", "sqrt-w20"),
    ]
    assert [one.arm for one in found] == ["none-w0", "none-w0"]


def test_a_table_without_shapes_is_one_of_linear_warmups(runs):
    linear = runs[runs["warmup"].isin(["none", "linear"])].drop(columns="warmup")
    assert {arm.warmup for arm in read_runs(linear, "eval_loss").arms} == {"linear"}
    (found,) = smallest_warmup_as_good_as_best(linear, metric="eval_loss", margin=0.1, method="every_arm")
    assert found.arms == ("none-w0", "linear-w10", "linear-w20")


def warmup(shape: str, steps: int, t_eff: float, asked: str = "10 %") -> dict[str, object]:
    return {"warmup": shape, "warmup_steps": steps, "t_eff": t_eff, "asked": asked, "total_steps": 341}


@pytest.mark.parametrize(
    ("warmups", "sentence"),
    [
        ([warmup("linear", 35, 18.0), warmup("linear", 18, 9.5, "5 %")], ""),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("exponential(rate=5)", 91, 18.087)],
            " Warmups of 3 shapes (linear, sqrt, exponential(rate=5)) were held equal in T_eff, what they hold back "
            "in all, at 17.79 to 18.09 updates.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 35, 23.8)],
            " Warmups of 2 shapes (linear, sqrt) were held equal in length, at 35 updates, and differ in T_eff, what "
            "they hold back: 18 to 23.8 updates.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, sqrt) were held equal in T_eff, what they hold back in all, at 17.79 to 18 "
            "updates. Not among them: radam (T_eff 250).",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, radam) were held equal in nothing: no length was asked of two of them.",
        ),
    ],
)
def test_the_report_says_what_was_held_equal(warmups, sentence):
    assert what_was_held_equal(warmups) == sentence
