"""The number block of runs with one seed."""

from __future__ import annotations

from pathlib import Path

import evidence
import pandas as pd
import pytest
from described import described

PUBLISHED = Path(evidence.__file__).parent / "published_usable_lr" / "results.csv"


def test_the_edges_of_the_published_runs_are_those_that_their_accuracies_show():
    """By hand from the tables. Adam first fails at 0.041, with warmup at 0.164. GI-Adam learns at 0.082 without."""
    text = described(PUBLISHED)
    assert "| adam | 0 % | 0.0205 | 0.041 |" in text
    assert "| adam | 1.02 % | 0.0819 | 0.164 |" in text
    assert "| giadam | 0 % | 0.0819 | 0.164 |" in text
    assert "below 1.5 times that of guessing marks the same runs" in text


@pytest.fixture
def table():
    """One optimizer: it learns up to 1 without warmup and up to 4 with it, on a grid of factor 2."""
    rows = [(warmup, lr, lr > largest) for warmup, largest in ((0, 1), (10, 4)) for lr in (1, 2, 4, 8)]
    runs = pd.DataFrame(rows, columns=["warmup_steps", "lr", "failed_to_learn"])
    accuracy = runs["failed_to_learn"].map({True: 0.5, False: 0.9})
    asked = runs["warmup_steps"].astype(str) + " %"
    return runs.assign(
        optimizer="adam", warmup_asked=asked, seed=0, status="completed", eval_accuracy=accuracy, guess_accuracy=0.5
    )


def test_the_ratio_of_two_edges_has_bounds_of_a_step_to_each_side(table, tmp_path):
    """The edges are in (1, 2) and (4, 8), so their ratio is in (4 / 2, 8 / 1)."""
    table.to_csv(tmp_path / "results.csv", index=False)
    assert "adam 4 (2 to 8)" in described(tmp_path / "results.csv")


def test_a_run_that_fails_below_one_that_learns_is_no_edge(table, tmp_path):
    table.loc[0, "failed_to_learn"] = True
    table.to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(ValueError, match="adam, 0 %: the runs that failed are not those at the largest learning rates"):
        described(tmp_path / "results.csv")
