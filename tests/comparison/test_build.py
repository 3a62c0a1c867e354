"""What `comparison.json` says of interrupted sweeps and of sweeps with planned looks; nothing is trained."""

import numpy as np
import pytest
from fake_sweep import LN2, Outcome, make_sweep, usual
from scipy import stats

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.table import read_sweep

LOOKS = {"looks": [6, 12, 24], "margin": 0.02}


def built(folder, **arguments) -> dict:
    return build_comparison(read_sweep(make_sweep(folder / "study", **arguments)))[1]


def first(number: int, outcome=usual):
    """The outcome of the first runs; the others have no result."""
    left = iter(range(number))
    return lambda strategy: None if next(left, None) is None else outcome(strategy)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """4 lengths at 2 learning rates and 6 seeds: complete at the lower rate, 3 seeds of the third length at the other.

    Without warmup, seed 0 diverges there.
    """
    return built(tmp_path_factory.mktemp("cut"), schedulers=("warmuplinear",), outcome=first(39))


def test_an_interrupted_sweep_says_so_and_judges_nothing(cut):
    assert cut["headline"].startswith("Preliminary, 38 of 48 runs: there is no verdict before all runs have ended.")
    assert {arm["verdict"]["value"] for arm in cut["arms"]} == {"preliminary", "reference"}
    assert (cut["trends"], cut["smallest_warmup"], cut["oscillation"]) == ([], [], [])
    assert (cut["own_best_lr"], cut["variance"]) == (None, None)
    assert not [line for line in cut["lr_lines"] if line["p_adjusted"] is not None]


def test_the_runs_of_an_interrupted_sweep_are_counted_apart(cut):
    """Runs 0 to 38 have ended. One diverged, so run 38 does not count before a later one has ended."""
    counts = cut["counts"]
    kinds = [counts[name] for name in ("learned", "errors", "unfinished", "early")]
    assert (kinds, counts["failed"]["count"], counts["diverged"]["count"]) == ([36, 0, 9, 1], 2, 1)
    assert sum(kinds) + counts["failed"]["count"] == counts["runs"] == 48
    assert (cut["errors"], len(cut["unfinished"])) == ([], 9)
    assert "; 9 runs have not ended; 1 more ended and does not count yet (" in cut["summary"][1]


def test_lengths_of_an_interrupted_sweep_are_compared_where_all_of_them_ended(cut):
    """At the higher learning rate no seed has all lengths, so its failures without warmup do not count."""
    assert [(level["failed"]["count"], level["failed"]["total"]) for level in cut["levels"]] == [(0, 6)] * 4


def test_the_largest_lr_of_an_interrupted_sweep_is_one_whose_runs_have_all_ended(cut):
    """10 % was not tried to the end at the higher rate, and 50 % not at all."""
    found = {row["warmup_steps"]: (row["tried"], row["lr"], row["at_edge"]) for row in cut["largest_lr"]}
    both, lower = [1e-3, 3e-3], [1e-3]
    assert found == {0: (both, 1e-3, False), 3: (both, 3e-3, True), 12: (lower, 1e-3, True), 60: (lower, 1e-3, True)}


def test_runs_in_error_are_left_out_and_the_others_are_judged(tmp_path):
    def outcome(strategy):
        broken = strategy["seed"] == 7 and strategy["warmup_steps"] == 0
        return Outcome("error", error="MemoryError: none left") if broken else usual(strategy)

    found = built(tmp_path, schedulers=("warmuplinear",), lrs=(1e-3,), seeds=8, outcome=outcome)
    assert found["arms"][0]["verdict"]["value"] == "worse"
    assert found["arms"][0]["verdict"]["test"]["num_pairs"] == 7
    assert (len(found["errors"]), found["unfinished"]) == (1, [])
    assert "1 run ended in an error and is excluded" in found["summary"][1]
    assert "Preliminary" not in found["headline"]


def in_second_look(strategy):
    """Everything at the first look; of the second, the runs without warmup, which fail."""
    if strategy["seed"] < 6:
        return usual(strategy)
    return Outcome("completed", True, np.full(120, LN2), {"eval_loss": LN2}) if strategy["warmup_steps"] == 0 else None


def test_everything_is_judged_at_the_last_complete_look(tmp_path):
    """All sections are those of the sweep of 6 seeds; only the runs, and how far the next look is, differ."""
    arguments = {"schedulers": ("warmuplinear",), "lrs": (1e-3,), "compare": LOOKS}
    whole = built(tmp_path / "whole", **arguments, seeds=6)
    found = built(tmp_path / "cut", **arguments, seeds=12, outcome=in_second_look)
    same = ("arms", "trends", "levels", "smallest_warmup", "oscillation", "variance", "looks", "largest_lr")
    assert {name: found[name] for name in same} == {name: whole[name] for name in same}
    assert found["looks"]["reached"] == 6
    assert found["headline"] == (
        f"{whole['headline']} This is the result of the look at 6 seeds; of the next look, 6 of 24 runs have ended and "
        "do not count yet."
    )


def test_secondary_verdicts_spend_the_error_over_the_looks(tmp_path):
    """All 6 seeds jitter more without warmup, so p of the rank test is 2 / 2^6; a first look of three asks for more."""
    arguments = {"schedulers": ("warmuplinear",), "lrs": (1e-3,), "ratios": (0.0, 0.1)}
    alone = built(tmp_path / "alone", **arguments)["oscillation"][0]["verdicts"][0]
    planned = built(tmp_path / "planned", **arguments, compare=LOOKS)["oscillation"][0]["verdicts"][0]
    assert alone["test"]["p_value"] == planned["test"]["p_value"] == 0.03125
    assert planned["p_holm"] > alone["p_holm"]


def test_with_planned_looks_a_difference_has_one_interval(tmp_path):
    """The repeated interval of the verdict is also that of the tables and charts."""
    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), ratios=(0.0, 0.1), lrs=(1e-3,), seeds=8,
                        compare={"looks": [6, 8]})  # fmt: skip
    arms = build_comparison(read_sweep(folder))[1]["arms"]
    (arm,) = (arm for arm in arms if arm["verdict"]["value"] != "reference")
    found, test = arm["metrics"]["eval_loss"], arm["verdict"]["test"]
    assert found["difference_of_all"] == test["difference"]
    assert found["difference_interval_of_all"] == test["interval_95"]
    plain = stats.t.interval(0.95, 7, loc=test["difference"], scale=test["spread"] / 8**0.5)
    assert test["interval_95"][0] < plain[0] < plain[1] < test["interval_95"][1]
    ends = "{:+.3g} to {:+.3g}".format(*test["interval_95"])
    assert f"95 % interval {ends}, 8 pairs" in arm["verdict"]["sentence"]
