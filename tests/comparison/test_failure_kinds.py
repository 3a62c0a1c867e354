"""Failed runs of each kind."""

import numpy as np
import pytest
from fake_runs import GUESS_LOSS, arm
from fake_sweep import Outcome, make_sweep

from warmup_lab.comparison.failure_kinds import FailureKinds, count_kinds, kind_of_failure, total_of
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.table import read_sweep

STEPS = np.arange(100)
FLAT = np.full(100, GUESS_LOSS)
FALLING = GUESS_LOSS * (1 - 0.0003 * STEPS)
RISING = FLAT + 0.2 * (STEPS > 60)


@pytest.mark.parametrize(
    ("loss", "diverged", "entropy", "kind"),
    [
        (FLAT, False, GUESS_LOSS, "stuck"),
        (FALLING, False, GUESS_LOSS, "too_slow"),
        (RISING, False, GUESS_LOSS, "unstable"),
        (FLAT[:20], True, GUESS_LOSS, "unstable"),
        (None, True, None, "unstable"),
        (None, False, GUESS_LOSS, "unknown"),
        (FLAT, False, None, "unknown"),
    ],
)
def test_kind_of_a_failed_run(loss, diverged, entropy, kind):
    assert kind_of_failure(loss, diverged=diverged, entropy=entropy, total_steps=100) == kind


def test_too_few_updates_have_no_kind():
    assert kind_of_failure(FLAT[:40], diverged=False, entropy=GUESS_LOSS, total_steps=40) == "unknown"


def test_kinds_are_counted_and_summed():
    found = count_kinds(["stuck", None, "unstable", "stuck"])
    assert found == FailureKinds(unstable=1, stuck=2, unknown=1)
    assert (found.total, found.calm) == (4, 2)
    assert total_of([found, FailureKinds(too_slow=3)]) == FailureKinds(1, 3, 2, 1)
    assert total_of([]) == FailureKinds()


def test_runs_that_learned_or_have_not_ended_have_no_kind():
    kinds = ["unstable", "stuck", None, "too_slow"]
    runs = arm([0.7] * 4, failed_to_learn=[True, False, True, True], failure_kind=kinds,
               status=["completed"] * 3 + ["unfinished"])  # fmt: skip
    assert read_runs(runs, "eval_loss").summary(0).failure_kinds == FailureKinds(unstable=1, unknown=1)


def test_a_diverged_run_is_unstable_in_a_table_without_kinds():
    runs = arm([0.7] * 2, failed_to_learn=True, status=["diverged", "completed"])
    assert read_runs(runs, "eval_loss").summary(0).failure_kinds == FailureKinds(unstable=1, unknown=1)


def test_the_table_of_a_sweep_has_the_kind_of_each_failed_run(tmp_path):
    losses = {0: RISING, 1: FALLING, 2: FLAT}

    def outcome(strategy):
        return Outcome("completed", strategy["seed"] < 3, losses.get(strategy["seed"], FLAT), {"eval_loss": 0.7})

    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), ratios=(0.1,), lrs=(1e-3,), seeds=4,
                        total_steps=100, outcome=outcome)  # fmt: skip
    kinds = read_sweep(folder).runs.set_index("seed")["failure_kind"]
    assert kinds.dropna().to_dict() == {0: "unstable", 1: "too_slow", 2: "stuck"}
