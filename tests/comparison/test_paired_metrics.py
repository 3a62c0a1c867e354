"""Metrics against the reference arm's run of the same seed."""

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, table
from fake_sweep import LN2, Outcome, learning_curve, make_sweep

from warmup_lab.comparison.paired_metrics import reference_arms, with_paired_metrics
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.table import read_sweep
from warmup_lab.comparison.verdicts import Question
from warmup_lab.metrics.paired import excess, matched_roughness

FAILED = {(12, 1), (0, 2)}
"""Seed 1 of the reference and seed 2 of the other arm."""
NEVER = (0, 4)
"""A run that learned and never reaches the target."""


def paired(folder, outcome, **grid):
    sweep = read_sweep(make_sweep(folder, schedulers=["warmuplinear"], outcome=outcome, **{"lrs": [1e-3]} | grid))
    runs = with_paired_metrics(sweep, reference_arms(sweep.runs, None))
    return sweep, runs.set_index(["warmup_steps", "seed"])


@pytest.fixture(scope="module")
def sweep_and_runs(tmp_path_factory):
    """Warmups of 0 and 12 updates, with more jitter without warmup; some runs fail, see `FAILED`."""

    def outcome(strategy):
        run = strategy["warmup_steps"], strategy["seed"]
        jitter = 0.02 + 0.04 * (strategy["warmup_steps"] == 0)
        loss = learning_curve(strategy, jitter=jitter, floor=0.9 if run == NEVER else 0.2)
        return Outcome(failed_to_learn=run in FAILED, loss=loss)

    return paired(tmp_path_factory.mktemp("paired") / "study", outcome, ratios=(0, 0.1))


@pytest.mark.parametrize("reference", [None, "warmuplinear-w0-lr0.001"])
def test_reference_arms_are_those_of_the_verdicts(reference):
    runs = table(
        *(arm(SEED_EFFECT + w * NOISE, w) for w in (0, 36, 72)),
        *(arm(SEED_EFFECT - w * NOISE, w, lr=3e-3) for w in (0, 72)),
    )
    verdicts = compare(runs, Question("eval_loss", reference=reference)).verdicts
    expected = {verdict.arm: verdict.reference for verdict in verdicts if verdict.reference is not None}
    assert reference_arms(runs, reference) == expected
    assert len(expected) == (3 if reference is None else 5)


def test_excess_and_matched_roughness_are_those_of_the_pair(sweep_and_runs):
    sweep, runs = sweep_and_runs
    for seed in (0, 3, 5):
        own, reference = (sweep.traces[runs.loc[(steps, seed), "run_id"]]["loss"] for steps in (0, 12))
        assert runs.loc[(0, seed), "excess"] == pytest.approx(excess(own, reference))
        ours, theirs = matched_roughness(own, reference, entropy=LN2)
        assert runs.loc[(0, seed), "matched/roughness"] == pytest.approx(ours - theirs)
        assert runs.loc[(0, seed), ["excess", "matched/roughness"]].gt(0).all()


def test_a_reference_differs_from_itself_by_0(sweep_and_runs):
    runs = sweep_and_runs[1]
    learned = runs.loc[[(12, seed) for seed in (0, 2, 3, 4, 5)]]
    assert learned[["excess", "matched/roughness"]].eq(0).all(axis=None)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_pair_with_a_failed_run_has_no_difference(sweep_and_runs, seed):
    assert sweep_and_runs[1].loc[(0, seed), ["excess", "matched/roughness"]].isna().all()


def test_all_runs_have_one_target_the_median_half_way_loss_of_the_learned_references(sweep_and_runs):
    """By definition, without the functions of `metrics`: medians over 25 updates; a final loss of 25 updates."""
    sweep, runs = sweep_and_runs

    def loss_of(steps, seed):
        return sweep.traces[runs.loc[(steps, seed), "run_id"]]["loss"]

    target = np.median([(LN2 + np.median(loss_of(12, seed)[-25:])) / 2 for seed in (0, 2, 3, 4, 5)])
    for run, found in runs["updates_to_target"].items():
        loss = loss_of(*run)
        reached = [step for step in range(24, len(loss)) if np.median(loss[step - 24 : step + 1]) <= target]
        expected = np.nan if run in FAILED or not reached else reached[0]
        np.testing.assert_equal(found, expected, err_msg=str(run))


def test_a_run_needs_its_reference_to_learn_only_for_a_difference(sweep_and_runs):
    runs = sweep_and_runs[1]["updates_to_target"]
    assert runs.isna()[runs.isna()].index.tolist() == [(0, 2), NEVER, (12, 1)]


def test_the_target_is_the_same_for_all_learning_rates(tmp_path):
    """The references of lr 3e-3 end at 0.6 H, those of 1e-3 at 0.2 H: the median of the half-ways is in the middle.

    Without noise, a loss l = H (f + (1 - f) exp(-5 t / 120)) has the median of its updates t - 24 to t at t - 12.
    """

    def outcome(strategy):
        return Outcome(loss=learning_curve(strategy, jitter=0, floor=0.2 if strategy["lr"] == 1e-3 else 0.6))

    _, runs = paired(tmp_path / "study", outcome, ratios=(0.1,), lrs=[1e-3, 3e-3], seeds=2)
    # The final loss is the median of the updates 95 to 119, at 107.
    ends = [floor + (1 - floor) * np.exp(-5 * 107 / 120) for floor in (0.2, 0.6)]
    target = np.mean([(1 + end) / 2 for end in ends])
    for rate, floor in ((1e-3, 0.2), (3e-3, 0.6)):
        expected = max(24, np.ceil(12 - 24 * np.log((target - floor) / (1 - floor))))
        assert runs.loc[runs["lr"] == rate, "updates_to_target"].tolist() == [expected] * 2


def test_without_a_learned_reference_there_is_no_target(tmp_path):
    _, runs = paired(tmp_path / "study", lambda _: Outcome(failed_to_learn=True), ratios=(0, 0.1), seeds=2)
    assert runs[["excess", "matched/roughness", "updates_to_target"]].isna().all(axis=None)


def test_the_last_columns_stay_last(sweep_and_runs):
    columns = sweep_and_runs[1].columns
    assert set(columns[-7:-4]) == {"matched/roughness", "excess", "updates_to_target"}
    assert list(columns[-4:]) == ["guess_loss", "guess_accuracy", "error", "seconds"]


def test_runs_of_a_task_with_unknown_labels_have_no_paired_metrics(tmp_path):
    folder = make_sweep(tmp_path / "study", schedulers=["warmuplinear"], ratios=(0, 0.1), lrs=[1e-3], seeds=2)
    sweep = read_sweep(folder)
    sweep.runs["guess_loss"] = np.nan
    runs = with_paired_metrics(sweep, reference_arms(sweep.runs, None))
    assert runs[["excess", "matched/roughness", "updates_to_target"]].isna().all(axis=None)
