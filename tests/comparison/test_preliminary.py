"""Interrupted sweeps: which runs count, and that they give estimates and no verdict."""

import heapq

import numpy as np
import pandas as pd
import pytest
from fake_runs import GUESS_LOSS, NOISE, SEED_EFFECT, arm, failing, lr_line, table, two_arms
from scipy import stats

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.preliminary import complete_blocks, counted_runs
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.verdicts import Question

COLD, TENTH = "warmuplinear-w0-lr0.001", "warmuplinear-w36-lr0.001"
CHANGE = NOISE + 0.05


def interrupted(runs: pd.DataFrame, *unfinished: int) -> pd.DataFrame:
    """The table without the results of these rows."""
    runs = runs.copy()
    runs.loc[list(unfinished), "status"] = "unfinished"
    runs.loc[list(unfinished), "eval_loss"] = np.nan
    return runs


def statuses(words: str, **columns) -> list[str]:
    """`counted_runs` of runs given by the first letters of their statuses, in the order in which they started."""
    known = {"c": "completed", "d": "diverged", "e": "error", "u": "unfinished"}
    return counted_runs(pd.DataFrame({"status": [known[word] for word in words], **columns}))["status"].tolist()


# ------------------------------------------------------------------------------------------ which runs count


def ended_runs(rng: np.random.Generator, num_processes: int) -> pd.DataFrame:
    """48 runs, half of which diverge after a tenth of their updates, interrupted at any time."""
    diverges = rng.random(48) < 0.5
    free, ends = [0.0] * num_processes, []
    for one in diverges:
        ends.append(heapq.heappop(free) + (0.1 if one else 1.0))
        heapq.heappush(free, ends[-1])
    ended = np.array(ends) <= rng.uniform(0, max(ends))
    return pd.DataFrame({"status": np.where(ended, np.where(diverges, "diverged", "completed"), "unfinished")})


@pytest.mark.parametrize(("num_processes", "ended"), [(1, 0.51), (8, 0.61)])
def test_the_share_of_diverged_runs_is_that_of_a_finished_sweep(num_processes, ended):
    """The truth is 1/2. Of the runs that merely ended, the share is `ended`, the figure of the module's docstring."""
    rng = np.random.default_rng(0)
    sweeps = [ended_runs(rng, num_processes) for _ in range(500)]
    sweeps = [runs for runs in sweeps if (runs["status"] == "unfinished").any()]
    naive = pd.concat(sweeps)["status"].value_counts()
    counted = pd.concat(map(counted_runs, sweeps))["status"].value_counts()
    assert naive["diverged"] / (naive["diverged"] + naive["completed"]) == pytest.approx(ended, abs=0.01)
    assert counted["diverged"] / (counted["diverged"] + counted["completed"]) == pytest.approx(0.5, abs=0.015)


def test_a_run_counts_once_a_later_one_is_completed():
    assert statuses("cdcdcu") == ["completed", "diverged", "completed", "diverged", "unfinished", "unfinished"]
    assert statuses("cddu") == ["unfinished"] * 4
    assert statuses("dduu") == ["unfinished"] * 4
    assert statuses("edcuc") == ["error", "diverged", "completed", "unfinished", "unfinished"]


def test_all_runs_that_ended_count_if_none_diverged_or_none_is_missing():
    assert statuses("ccu") == ["completed", "completed", "unfinished"]
    assert statuses("cdd") == ["completed", "diverged", "diverged"]
    assert statuses("ed") == ["error", "diverged"]


def test_runs_of_another_length_say_nothing_about_the_order():
    """A launcher may train the long runs in a group of their own, after the short ones."""
    assert statuses("dccu", total_steps=[200, 100, 100, 200]) == ["unfinished", "completed", "completed", "unfinished"]
    assert statuses("dccu", total_steps=[200, 200, 200, 200])[0] == "diverged"


def test_lengths_are_pooled_over_blocks_in_which_every_length_has_a_result():
    """Arms 0 and 1 are one stratum, 2 and 3 another, 3 and 4 a third that shares an arm with it."""
    rows = [arm([0.5] * 3, length, lr=lr) for lr, length in ((1, 0), (1, 36), (2, 0), (2, 36), (2, 180))]
    runs = interrupted(table(*rows), 2, 3, 13)  # arm 0 lacks seed 2, arm 1 seed 0, arm 4 seed 1
    found = complete_blocks(read_runs(runs, "eval_loss"), [(0, 1), (2, 3), (3, 4)])
    expected = [[False, True, False]] * 2 + [[True, False, True]] * 3
    assert found.finished.tolist() == expected


# ---------------------------------------------------------------------------------- estimates, no verdict


def test_a_difference_that_decides_a_finished_sweep_is_an_estimate_in_an_interrupted_one():
    runs = two_arms(CHANGE)
    question = Question("eval_loss", margin=0.1)
    assert compare(runs, question).verdict(COLD).value == "different_within_margin"
    found = compare(interrupted(runs, 15), question)
    verdict, low_high = found.verdict(COLD), stats.ttest_1samp(CHANGE[:7], 0).confidence_interval(0.95)
    assert verdict.value == "preliminary"
    assert verdict.test.num_pairs == 7
    assert verdict.test.difference == pytest.approx(CHANGE[:7].mean())
    assert verdict.test.interval_95 == pytest.approx(tuple(low_high))
    assert (verdict.test.p_value, verdict.test.p_equivalent) == (None, None)
    assert (verdict.p_holm, verdict.p_equivalent_holm, verdict.p_failed_holm) == (None, None, None)
    assert (found.preliminary, found.trends, found.look) == (True, (), 0)
    low, high = low_high
    assert found.headline == (
        "Preliminary, 15 of 16 runs: there is no verdict before all runs have ended. So far, "
        f"{COLD} against {TENTH}: eval_loss {CHANGE[:7].mean():+.3g} [{low:+.3g}, {high:+.3g}] over 7 seeds."
    )
    assert verdict.sentence.startswith(f"Preliminary: {COLD} against {TENTH}: eval_loss")


def test_a_pair_counts_only_if_both_runs_ended():
    """The reference has seeds 0 to 5, the other arm 0, 1, 2 and 6: three pairs."""
    found = compare(interrupted(two_arms(CHANGE), 6, 7, 11, 12, 13, 15), Question("eval_loss"))
    assert found.verdict(COLD).test.num_pairs == 3
    assert found.verdict(COLD).test.difference == pytest.approx(CHANGE[:3].mean())


def test_a_diverged_run_whose_later_runs_are_on_their_way_counts_in_no_rate():
    """The runs of seed 6 and 7 of the second arm diverged while that of seed 5 is still running."""
    runs = two_arms(CHANGE)
    runs.loc[[14, 15], ["status", "failed_to_learn", "eval_loss"]] = ["diverged", True, np.nan]
    found = compare(interrupted(runs, 13), Question("eval_loss"))
    assert (found.arms[1].failed.count, found.arms[1].failed.total) == (0, 4)
    assert found.arms[1].num_unfinished == 4
    assert found.verdict(COLD).test.num_pairs == 4


def test_the_estimate_of_the_headline_is_chosen_by_its_pairs_and_not_by_its_size():
    arms = [arm(SEED_EFFECT + shift, steps) for shift, steps in ((0.0, 36), (0.01, 0), (0.4, 180))]
    found = compare(interrupted(table(*arms), 16, 17), Question("eval_loss"))
    assert f"So far, {COLD} against {TENTH}: eval_loss +0.01" in found.headline
    fewer = compare(interrupted(table(*arms), 8, 9), Question("eval_loss"))
    assert "So far, warmuplinear-w180-lr0.001 against" in fewer.headline


def test_failures_are_counted_in_the_sentence_without_a_test():
    found = compare(interrupted(table(failing(0, 8), failing(8, 8, 0)), 15), Question("eval_loss"))
    verdict = found.verdict(COLD)
    assert (verdict.value, verdict.p_failed_holm) == ("preliminary", None)
    assert verdict.sentence.endswith("; 7 of 7 runs failed to learn against 0 of 8.")


def test_lr50_has_the_seeds_whose_rates_have_all_ended_and_no_p():
    """Seed 5 has no result at the largest rate of the second line; the others differ by one step, a factor of 2."""
    lrs = (1e-3, 2e-3, 4e-3, 8e-3)
    runs = table(lr_line([2] * 6, lrs, 36), lr_line([1, 1, 1, 1, 1, 4], lrs, 0))
    question = Question("eval_loss")
    whole = compare(runs, question).lr_lines
    assert whole[1].p_adjusted is not None
    found = compare(interrupted(runs, 47), question)
    (line,) = [line for line in found.lr_lines if line.ratio]
    assert (line.ratio.num_seeds, line.usable.num_seeds) == (5, 5)
    assert line.ratio.ratio == pytest.approx(0.5)
    assert (line.ratio.p_value, line.p_adjusted) == (None, None)


def test_without_a_pair_the_headline_says_so():
    found = compare(interrupted(two_arms(CHANGE), *range(1, 16)), Question("eval_loss"))
    assert found.headline.endswith("No two runs that are compared have ended yet.")
    assert found.verdict(COLD).sentence == f"{COLD} and {TENTH} have not both ended at any seed yet."
    assert found.levels == ()


def test_a_run_that_ended_in_an_error_does_not_make_a_sweep_preliminary():
    runs = two_arms(CHANGE)
    runs.loc[15, ["status", "eval_loss"]] = ["error", np.nan]
    found = compare(runs, Question("eval_loss", margin=0.1))
    assert (found.preliminary, found.verdict(COLD).test.num_pairs) == (False, 7)
    assert found.verdict(COLD).value == "different_within_margin"
    assert (found.arms[1].num_errors, found.arms[1].num_unfinished) == (1, 0)


# ------------------------------------------------------------------------------------------- planned looks


def twelve(shift: float) -> pd.DataFrame:
    losses = 0.5 + np.resize(NOISE, 12)
    return table(arm(losses), arm(losses[::-1] + shift, 0))


LOOKS = Question("eval_loss", margin=0.1, looks=(6, 12, 24))


def test_a_complete_look_keeps_its_verdicts_while_the_next_one_is_on_its_way():
    """The later runs would turn the difference round; they do not count."""
    runs = twelve(0.2)
    runs.loc[(runs["seed"] >= 6) & (runs["warmup_steps"] == 0), "eval_loss"] = GUESS_LOSS - 0.6
    first = compare(runs[runs["seed"] < 6], LOOKS)
    found = compare(interrupted(runs, 23), LOOKS)
    assert first.verdict(COLD).value == "worse"
    assert (found.verdict(COLD), found.look, found.preliminary) == (first.verdict(COLD), 6, False)
    assert found.headline == (
        f"{first.headline} This is the result of the look at 6 seeds; of the next look, 11 of 12 runs have ended and "
        "do not count yet."
    )
    assert compare(runs, LOOKS).look == 12


def test_a_look_whose_runs_are_missing_is_not_reached():
    found = compare(interrupted(twelve(0.2), 0), LOOKS)
    assert (found.look, found.preliminary, found.verdict(COLD).value) == (0, True, "preliminary")
    assert "there is no verdict before the look at 6 seeds is complete" in found.headline


def test_an_early_divergence_does_not_take_a_complete_look_back():
    """The last run of the first look diverged, and no run after it is completed."""
    runs = twelve(0.2).sort_values(["seed", "warmup_steps"], ignore_index=True)
    runs.loc[11, ["status", "failed_to_learn", "eval_loss"]] = ["diverged", True, np.nan]
    assert compare(interrupted(runs, *range(12, 24)), LOOKS).look == 6
