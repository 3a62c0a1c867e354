"""Metrics against the reference arm's run of the same seed."""

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, table
from fake_sweep import Outcome, learning_curve, make_sweep

from warmup_lab.comparison.paired_metrics import reference_arms, with_paired_metrics
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.table import read_sweep
from warmup_lab.comparison.verdicts import Question
from warmup_lab.metrics.paired import excess_of_residuals, first_below, half_way_loss
from warmup_lab.metrics.series import finite_prefix, residual, trailing_median


@pytest.mark.parametrize("reference", [None, "warmuplinear-w0-lr0.001"])
def test_reference_arms_are_those_of_the_verdicts(reference):
    runs = table(
        *(arm(SEED_EFFECT + w * NOISE, w) for w in (0, 36, 72)),
        *(arm(SEED_EFFECT - w * NOISE, w, lr=3e-3) for w in (0, 72)),
    )
    verdicts = compare(runs, Question("loss", reference=reference)).verdicts
    expected = {verdict.arm: verdict.reference for verdict in verdicts if verdict.reference is not None}
    assert reference_arms(runs, reference) == expected
    assert len(expected) == (3 if reference is None else 5)


def test_paired_metrics_by_hand(tmp_path):
    """Seed 1 of the reference and seed 2 of the other arm fail, so these seeds have no paired metrics."""

    def outcome(strategy):
        failed = (strategy["warmup_steps"], strategy["seed"]) in ((12, 1), (0, 2))
        jitter = 0.02 + 0.04 * (strategy["warmup_steps"] == 0)
        return Outcome(failed_to_learn=failed, loss=learning_curve(strategy, jitter=jitter))

    sweep = read_sweep(
        make_sweep(tmp_path / "study", schedulers=["warmuplinear"], ratios=(0, 0.1), lrs=[1e-3], outcome=outcome)
    )
    runs = with_paired_metrics(sweep, reference_arms(sweep.runs, None))
    ids = {(row.warmup_steps, row.seed): row.run_id for row in runs.itertuples()}
    cold = runs[runs["warmup_steps"] == 0].set_index("seed")
    for seed in range(6):
        own, reference = (finite_prefix(sweep.traces[ids[steps, seed]]["loss"]) for steps in (0, 12))
        if seed in (1, 2):
            assert np.isnan(cold.loc[seed, ["excess", "updates_to_target"]].astype(float)).all()
        else:
            assert cold.loc[seed, "excess"] == excess_of_residuals(residual(own), residual(reference)) > 0
            assert cold.loc[seed, "updates_to_target"] == first_below(trailing_median(own), half_way_loss(reference))
    assert list(runs.columns[-4:]) == ["excess", "updates_to_target", "error", "seconds"]
