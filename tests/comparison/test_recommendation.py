"""The recommendation on made-up sweeps: what was chosen, how far it is decided, and what is open."""

import numpy as np
import pytest
from fake_runs import NOISE
from fake_sweep import LN2, Outcome, make_job, make_sweep, write_sweep
from scipy import stats

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.table import read_sweep

LRS = (5e-4, 1e-3, 2e-3, 4e-3)


def recommended(folder):
    return build_comparison(read_sweep(folder))[1]["recommendation"]


def sweep_with(tmp_path, eval_loss, *, failed=lambda _: False, status=lambda _: "completed", **arguments):
    """A sweep of 20 updates a run, whose runs end with these losses."""

    def outcome(strategy):
        if status(strategy) is None:
            return None
        fails = failed(strategy)
        loss = 0.8 if fails else eval_loss(strategy) + 0.01 * NOISE[strategy["seed"]]
        return Outcome(status(strategy), fails, np.full(20, LN2), {"eval_loss": loss})

    usual = {"schedulers": ("warmuplinear",), "ratios": (0.1,), "lrs": LRS, "seeds": 6, "total_steps": 20}
    return make_sweep(tmp_path / "study", outcome=outcome, **(usual | arguments))


def valley(best_lr):
    return lambda strategy: 0.3 + 0.1 * abs(np.log2(strategy["lr"] / best_lr))


def test_runs_that_fail_are_not_preferred_to_runs_that_overfit(tmp_path):
    """At 5e-4 every second run fails and counts as guessing, ln 2 = 0.69. At 1e-3 all learn, but end at 0.79."""

    def eval_loss(strategy):
        return 0.6 if strategy["lr"] == 5e-4 else 0.79

    def failed(strategy):
        return strategy["lr"] == 5e-4 and strategy["seed"] % 2 == 0

    found = recommended(sweep_with(tmp_path, eval_loss, failed=failed, lrs=LRS[:2]))
    assert found["lr"] == 1e-3
    assert found["failed"]["count"] == 0


def test_best_observed_lr_with_its_interval(tmp_path):
    found = recommended(sweep_with(tmp_path, valley(1e-3)))
    losses = 0.3 + 0.01 * NOISE[:6]
    low, high = stats.t.interval(0.95, 5, loc=losses.mean(), scale=stats.sem(losses))
    assert (found["lr"], found["lr_tried"], found["lr_at_edge"]) == (1e-3, list(LRS), None)
    assert found["warmup"] == {"steps": 2, "percent": 10.0, "name": "warmuplinear"}
    assert (found["seeds"], found["metric"], found["title"]) == (6, "eval_loss", "final evaluation loss")
    assert found["mean"] == pytest.approx(losses.mean())
    assert found["interval"] == pytest.approx([low, high])
    assert found["failed"]["count"] == 0
    assert not found["decided"]
    assert found["sentence"] == (
        "Use lr 0.001 with 10 % warmup (2 updates). The best observed of 4 combinations, not shown to be better than "
        "the others."
    )
    assert found["unsure"] == []


@pytest.mark.parametrize(
    ("best", "edge", "grid"),
    [(5e-4, "smallest", "0.000125,0.00025,0.0005"), (4e-3, "largest", "0.004,0.008,0.016")],
)
def test_best_lr_at_the_edge_of_the_grid_asks_for_a_wider_grid(best, edge, grid, tmp_path):
    found = recommended(sweep_with(tmp_path, valley(best)))
    assert found["lr_at_edge"] == edge
    assert f"lr {best:g} is the {edge} that was tried" in found["unsure"][0]
    assert f"optimizer.lr={grid} " in found["next_command"]


def test_failed_runs_count_in_the_choice(tmp_path):
    """At lr 0.002 the runs that learned are better, but half of the runs fail: 0.1 / 2 + ln 2 / 2 = 0.40 > 0.3."""

    def loss(strategy):
        return {5e-4: 0.5, 1e-3: 0.3, 2e-3: 0.1, 4e-3: 0.6}[strategy["lr"]]

    found = recommended(sweep_with(tmp_path, loss, failed=lambda one: one["lr"] == 2e-3 and one["seed"] < 3))
    assert found["lr"] == 1e-3


def test_arm_that_only_guesses_is_not_recommended_where_others_overfit(tmp_path):
    """At lr 0.004 all runs fail, at ln 2; at the other rates they learn, and end above it."""

    def loss(strategy):
        return {5e-4: 1.2, 1e-3: 0.9, 2e-3: 1.1, 4e-3: LN2}[strategy["lr"]]

    found = recommended(sweep_with(tmp_path, loss, failed=lambda one: one["lr"] == 4e-3))
    assert (found["lr"], found["failed"]["count"]) == (1e-3, 0)


def test_values_that_the_seeds_cannot_tell_apart_are_named(tmp_path):
    """lr 0.001 and 0.002 differ by +0.001 and -0.002 in turn, so that the interval of the difference includes 0."""

    def loss(strategy):
        turn = 0.001 if strategy["seed"] % 2 else -0.002
        return valley(1e-3)(strategy) if strategy["lr"] != 2e-3 else 0.3 - turn

    found = recommended(sweep_with(tmp_path, loss, ratios=(0.1, 0.5)))
    assert found["unsure"] == [
        "Not shown to be better than lr 0.002 or 50 % warmup: at 6 seeds, the 95 % interval of each paired difference "
        "includes 0."
    ]


def test_two_seeds_have_no_interval(tmp_path):
    found = recommended(sweep_with(tmp_path, valley(1e-3), seeds=2))
    assert found["interval"] is None
    assert found["unsure"] == ["2 seeds: the differences may be chance."]


def most_fail(tmp_path, loss, **arguments):
    """Five of six runs fail with this trace. The best learning rate is the largest one, 0.004."""

    def outcome(strategy):
        fails = strategy["seed"] > 0
        end = valley(4e-3)(strategy) + 0.01 * NOISE[strategy["seed"]]
        return Outcome("completed", fails, loss, {"eval_loss": 0.8 if fails else end})

    usual = {"schedulers": ("warmuplinear",), "ratios": (0.1,), "lrs": LRS, "seeds": 6, "total_steps": 60}
    return recommended(make_sweep(tmp_path / "study", outcome=outcome, **(usual | arguments)))


def test_stuck_runs_need_more_updates_or_a_larger_learning_rate(tmp_path):
    found = most_fail(tmp_path, np.full(60, LN2))
    assert (found["lr"], found["warmup"], found["decided"]) == (None, None, False)
    assert found["sentence"] == (
        "Nothing tried is usable: even with the best combination, warmuplinear-w6 (10 %) lr=0.004, 5 of 6 runs failed. "
        "Train for more updates, for example 240 instead of 60, or try a larger learning rate than 0.004 (none of the "
        "20 failed runs was unstable)."
    )
    assert found["next_command"] == "python train.py -m scheduler=warmuplinear max_steps=240 study=study_longer"


@pytest.mark.parametrize(
    ("also_at_best", "command"),
    [(True, "max_steps=240 study=study_longer"), (False, "optimizer.lr=0.000125,0.00025,0.0005")],
)
def test_where_runs_of_the_best_are_stuck_the_next_sweep_is_longer(also_at_best, command, tmp_path):
    """Two of six runs fail at each lr, which is more than the margin of 20 %. The best lr is the smallest one."""

    def outcome(strategy):
        fails = strategy["seed"] < 2 and (also_at_best or strategy["lr"] > 5e-4)
        end = valley(5e-4)(strategy) + 0.01 * NOISE[strategy["seed"]]
        return Outcome("completed", fails, np.full(60, LN2), {"eval_loss": 0.8 if fails else end})

    found = recommended(
        make_sweep(tmp_path / "study", outcome=outcome, schedulers=("warmuplinear",), ratios=(0.1,), lrs=LRS,
                   seeds=6, total_steps=60)
    )  # fmt: skip
    assert found["lr"] == 5e-4
    assert ("2 of 6 runs with it failed to learn." in found["unsure"]) == also_at_best
    assert command in found["next_command"]


def test_unstable_runs_need_a_smaller_learning_rate(tmp_path):
    found = most_fail(tmp_path, LN2 + 0.5 * (np.arange(60) > 30) + 0.01 * np.random.default_rng(0).normal(size=60))
    assert found["sentence"].endswith(" Lower the learning rate (all 20 failed runs were unstable).")
    assert "optimizer.lr=0.000125,0.00025 " in found["next_command"]


def test_a_loss_that_is_no_better_than_guessing_is_a_caution(tmp_path):
    found = recommended(sweep_with(tmp_path, lambda _: LN2 + 0.1))
    assert found["unsure"][0].startswith("Its evaluation loss, 0.793, is no better than guessing (0.693): ")


def test_seeds_to_add_are_those_of_the_command(tmp_path):
    """Without a margin, 12 seeds."""

    def loss(strategy):
        return valley(1e-3)(strategy) + 0.01 * NOISE[::-1][strategy["seed"]] * (strategy["warmup_steps"] > 0)

    found = recommended(sweep_with(tmp_path, loss, ratios=(0.0, 0.1), compare={"margin": None}))
    assert "'seed=range(6,18)'" in found["next_command"]
    assert found["next_note"].startswith("About 12 new seeds at lr 0.001 would show a difference of ")


def test_sweep_without_results(tmp_path):
    found = recommended(sweep_with(tmp_path, valley(1e-3), status=lambda _: None))
    assert (found["lr"], found["arm"], found["mean"], found["seeds"]) == (None, None, None, 0)
    assert found["sentence"] == "No run has ended yet."
    assert found["unsure"] == ["Preliminary: 0 of 24 runs ended."]
    assert found["next_command"] == "python train.py -m scheduler=warmuplinear"


def test_unfinished_sweep_is_preliminary_and_continues(tmp_path):
    started = {"status": lambda one: "completed" if one["seed"] < 4 else None}
    found = recommended(sweep_with(tmp_path, valley(1e-3), **started))
    assert found["unsure"][0] == "Preliminary: 16 of 24 runs ended."
    assert found["sentence"].startswith(
        "Preliminary: lr 0.001 with 10 % warmup (2 updates). The best observed so far of 4 combinations."
    )
    assert found["next_command"] == "python train.py -m scheduler=warmuplinear"
    assert not found["decided"]


def test_warmup_of_a_decided_trend_is_decided(tmp_path):
    def loss(strategy):
        return 0.5 - 0.2 * strategy["warmup_ratio"] + 0.02 * strategy["seed"]

    found = recommended(sweep_with(tmp_path, loss, lrs=(1e-3,), ratios=(0.0, 0.1, 0.2, 0.5), seeds=8))
    assert found["decided"]
    assert found["warmup"]["steps"] == 10
    assert "The warmup is decided by the trend over its length." in found["sentence"]
    assert found["unsure"][0] == "50 % is the longest warmup that was tried; a longer one may be better."
    assert found["next_command"].startswith(
        "python train.py scheduler=warmuplinear optimizer.lr=0.001 warmup_ratio=0.5"
    )


def test_a_trend_shows_an_effect_but_not_which_of_two_lengths_is_best(tmp_path):
    """10 and 50 % differ in sign from seed to seed, and no margin is stated."""

    def loss(strategy):
        turn = 0.01 * (-1) ** strategy["seed"] * (strategy["warmup_ratio"] == 0.5)
        return 0.3 + 0.2 * (strategy["warmup_ratio"] == 0) + turn

    lengths = {"lrs": (1e-3,), "ratios": (0.0, 0.1, 0.5), "seeds": 8}
    found = recommended(sweep_with(tmp_path, loss, **lengths, compare={"margin": None}))
    assert (found["decided"], found["warmup_decided"], found["effect_shown"]) == (False, False, True)
    assert found["basis"] == (
        "A trend over the length of the warmup is shown; the exact length is only the best observed, not tested."
    )
    assert "'seed=range(8,20)'" in found["next_command"]


def test_ramps_recommend_the_rate_of_their_section(tmp_path):
    """Ramps whose every update overshoots from update 125 on; then runs at constant rates from it downwards."""

    def ramp(strategy):
        if strategy["scheduler"] == "exponentialramp":
            return Outcome(loss=np.full(200, 0.3), overshoot=np.arange(200) >= 125)
        return Outcome(loss=np.full(200, 0.3), metrics={"eval_loss": 0.3})

    ramps = [make_job("exponentialramp", 0, 0.1, seed, 200) for seed in range(6)]
    first = build_comparison(read_sweep(write_sweep(tmp_path / "ramps", ramps, ramp)))[1]
    assert first["recommendation"]["sentence"] == "No learning rate can be recommended from the ramps."
    median = first["lr_jitter"]["jitter_lr"]["median"]
    rates = [make_job("constantlr", 0, round(median / 2, 10), seed, 200) for seed in range(6)]
    found = build_comparison(read_sweep(write_sweep(tmp_path / "rates", [*ramps, *rates], ramp)))[1]
    assert found["recommendation"]["lr"] == found["lr_jitter"]["recommendation"]["lr"] == round(median / 2, 10)
    assert found["recommendation"]["seeds"] == 6
    assert not found["recommendation"]["decided"]
