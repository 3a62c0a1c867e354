import json
import math

import numpy as np
import pandas as pd
import pytest
from fake_sweep import Outcome, make_sweep, usual
from scipy import stats

from warmup_lab import compare, load_runs
from warmup_lab.comparison import build_comparison, read_sweep

SEED_EFFECT = np.array([0.50, 0.61, 0.43, 0.57, 0.49, 0.66, 0.52, 0.45])
NOISE = 0.01 * np.array([1.0, -2.0, 1.5, -0.5, 2.0, -1.0, -1.5, 0.5])
LN2 = math.log(2)


def arm(losses, **values) -> pd.DataFrame:
    return pd.DataFrame({**values, "seed": range(len(losses)), "val_loss": losses})


def table(*arms) -> pd.DataFrame:
    return pd.concat(arms, ignore_index=True)


def compared(runs, **options):
    return compare(runs, **({"metric": "val_loss", "by": "warmup_ratio", "seed": "seed"} | options))


def two_arms(change) -> pd.DataFrame:
    return table(arm(SEED_EFFECT + change, warmup_ratio=0.0), arm(SEED_EFFECT, warmup_ratio=0.1))


# ------------------------------------------------------------------------------------- against the engine


def as_in_a_report(folder, **options):
    """The comparison of a sweep's table with the stated metric, and the content of its `comparison.json`."""
    report = build_comparison(read_sweep(folder))[1]
    result = compare(
        load_runs(folder), metric="eval_loss", by=["warmup_steps", "scheduler", "lr"], seed="seed",
        failed="failed_to_learn", entropy="guess_loss", margin=0.02, **options,
    )  # fmt: skip
    return result, report


def test_a_sweep_gives_the_numbers_and_the_words_of_its_report(tmp_path):
    """Two schedulers, two learning rates, four lengths; some runs diverge and some learn nothing."""
    result, report = as_in_a_report(make_sweep(tmp_path))
    assert result.headline == report["headline"].replace("warmuplinear-w0", "warmup_steps=0 scheduler=warmuplinear")
    keys = ("value", "p_holm", "p_equivalent_holm", "p_failed_holm", "excess_failures")
    for ours, theirs in zip(result.verdicts, report["arms"], strict=True):
        assert {key: ours.to_dict()[key] for key in keys} == {key: theirs["verdict"][key] for key in keys}
        assert ours.to_dict()["test"] == theirs["verdict"]["test"]
    names = ("of", "z", "p_value", "p_adjusted", "num_seeds")
    ours = [{name: getattr(trend, name) for name in names} for trend in result.trends]
    assert ours == [{name: trend[name] for name in names} for trend in report["trends"]]
    assert [level.value for level in result.levels] == [0, 3, 12, 60]
    assert [level.lr50 for level in result.levels] == [level["lr50"] for level in report["levels"]]
    assert [line.usable.lr50 for line in result.lr_lines] == [line["usable"]["lr50"] for line in report["lr_lines"]]


def test_an_unfinished_sweep_gives_estimates_without_verdicts(tmp_path):
    folder = make_sweep(tmp_path, outcome=lambda strategy: usual(strategy) if strategy["seed"] < 4 else None)
    result, report = as_in_a_report(folder)
    assert result.preliminary
    assert result.headline.partition(":")[0] == report["headline"].partition(":")[0]
    assert result.headline.startswith("Preliminary, ")
    assert {verdict.value for verdict in result.verdicts} == {"reference", "preliminary"}
    assert all(verdict.p_holm is None for verdict in result.verdicts)
    assert not result.trends


def test_runs_in_error_are_left_out_and_not_failed(tmp_path):
    def outcome(strategy):
        return Outcome("error", error="no memory") if strategy["seed"] == 5 else usual(strategy)

    result, _ = as_in_a_report(make_sweep(tmp_path, schedulers=["warmuplinear"], lrs=[1e-3], outcome=outcome))
    assert [(one.num_runs, one.failed.total, one.failed.count) for one in result.arms] == [(6, 5, 0)] * 4


# ----------------------------------------------------------------------------- values calculated elsewhere


def test_a_pair_equals_the_paired_t_test_of_scipy():
    result = compared(two_arms(0.1 + NOISE))
    verdict, expected = result.verdict("warmup_ratio=0"), stats.ttest_1samp(0.1 + NOISE, 0)
    assert verdict.value == "worse"
    assert verdict.test.p_value == pytest.approx(expected.pvalue)
    assert verdict.test.interval_95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert "val_loss +0.1" in verdict.sentence


def test_a_missing_metric_is_a_failed_run_that_counts_as_guessing():
    losses = SEED_EFFECT + NOISE
    losses[2] = np.nan
    runs = table(arm(losses, warmup_ratio=0.0), arm(SEED_EFFECT, warmup_ratio=0.1))
    result = compared(runs, entropy=LN2)
    assert (result.arms[0].num_runs, result.arms[0].failed.count) == (8, 1)
    expected = stats.ttest_rel(np.where(np.isnan(losses), LN2, losses), SEED_EFFECT)
    assert result.verdict("warmup_ratio=0").test.p_value == pytest.approx(expected.pvalue)
    assert result.verdict("warmup_ratio=0").test.num_pairs == 8


def test_a_marked_run_counts_as_the_smaller_of_its_loss_and_guessing():
    losses = SEED_EFFECT + NOISE
    losses[:2] = 3.0, 0.6
    runs = table(arm(losses, warmup_ratio=0.0), arm(SEED_EFFECT, warmup_ratio=0.1)).assign(h=LN2)
    runs["dead"] = [True, True] + [False] * 14
    result = compared(runs, entropy="h", failed="dead")
    losses[0] = LN2
    expected = stats.ttest_rel(losses, SEED_EFFECT).pvalue
    assert result.verdict("warmup_ratio=0").test.p_value == pytest.approx(expected)


def test_a_failed_run_has_the_accuracy_of_the_majority_class():
    accuracy = 1 - (SEED_EFFECT + NOISE)
    accuracy[3] = np.nan
    runs = table(arm(accuracy, warmup_ratio=0.0), arm(1 - SEED_EFFECT, warmup_ratio=0.1))
    runs = runs.rename(columns={"val_loss": "val_accuracy"})
    result = compared(runs, metric="val_accuracy", higher_is_better=True, majority_accuracy=0.4)
    expected = stats.ttest_rel(np.where(np.isnan(accuracy), 0.4, accuracy), 1 - SEED_EFFECT).pvalue
    assert result.verdict("warmup_ratio=0").test.p_value == pytest.approx(expected)


def test_oscillation_is_compared_by_ranks_and_needs_no_entropy():
    """All eight seeds of the arm without warmup are rougher or failed: both sides of an exact sign test."""
    rough = SEED_EFFECT + 0.1
    rough[0] = np.nan
    runs = table(arm(rough, warmup_ratio=0.0), arm(SEED_EFFECT, warmup_ratio=0.1))
    test = compared(runs.rename(columns={"val_loss": "roughness"}), metric="roughness").verdict("warmup_ratio=0").test
    assert test.p_value == pytest.approx(2 / 2**8)


def grid(num_learned, lrs, **values) -> pd.DataFrame:
    """At seed s, the `num_learned[s]` smallest learning rates learn."""
    limits = np.asarray(num_learned)
    return table(
        *(
            arm(np.where(limits > row, SEED_EFFECT[: limits.size], np.nan), lr=lr, **values)
            for row, lr in enumerate(lrs)
        )
    )


def test_lr50_of_each_value_and_their_ratio():
    """All seeds of the short warmup learn at 1e-3, of the long one at 1e-3 and 2e-3; lr50 is half-way on a log axis."""
    lrs = [1e-3, 2e-3, 4e-3]
    runs = table(grid([1] * 8, lrs, warmup_ratio=0.0), grid([2] * 8, lrs, warmup_ratio=0.1))
    result = compared(runs, by=["warmup_ratio", "lr"], entropy=LN2)
    assert [line.name for line in result.lr_lines] == ["warmup_ratio=0", "warmup_ratio=0.1"]
    assert [line.usable.lr50 for line in result.lr_lines] == pytest.approx([1e-3 * 2**0.5, 2e-3 * 2**0.5])
    assert result.lr_lines[0].ratio.ratio == pytest.approx(0.5)
    assert result.lr_lines[0].differs_in == "warmup_ratio"
    assert "raises the usable learning rate" in result.headline


def test_a_table_of_learning_rates_alone_has_one_lr50():
    result = compared(grid([2] * 6, [1e-3, 2e-3, 4e-3]), by="lr", reference=1e-3, entropy=LN2)
    (line,) = result.lr_lines
    assert line.usable.lr50 == pytest.approx(2e-3 * 2**0.5)
    assert [trend.of for trend in result.trends] == ["metric", "failures"]


# ---------------------------------------------------------------------------------- columns of other kinds


def test_any_ordered_column_gets_the_trend_test_in_its_own_words():
    dropout = table(*(arm(SEED_EFFECT + value + np.roll(NOISE, row), dropout=value)
                      for row, value in enumerate((0.0, 0.1, 0.2))))  # fmt: skip
    result = compared(dropout, by="dropout", reference=0.1)
    assert result.headline.startswith("Use dropout=0. val_loss is 0.529 with 0, 0.629 with 0.1, 0.729 with 0.2 (trend")
    assert [verdict.value for verdict in result.verdicts] == ["better", "reference", "worse"]
    assert result.trends[0].z > 0


def test_failures_over_an_ordered_column():
    parts = [grid([1] * (8 - bad) + [0] * bad, [1e-3], clip=clip) for clip, bad in ((0.5, 0), (1.0, 4), (5.0, 8))]
    runs = table(*parts)
    assert compared(runs, by="clip", reference=1.0, entropy=LN2).headline.startswith("Use clip=0.5. Failed runs: 0 of")


def test_a_column_of_texts_has_no_trend_and_is_compared_with_its_reference():
    runs = table(*(arm(SEED_EFFECT + change * (name == "lion") + NOISE * (name == "lion"), optimizer=name, task=task)
                   for task, change in (("rte", 0.1), ("trec", -0.1)) for name in ("lion", "adamw")))  # fmt: skip
    result = compared(runs, by=["optimizer", "task"], reference="adamw")
    assert [verdict.value for verdict in result.verdicts] == ["worse", "reference", "better", "reference"]
    assert result.verdict("optimizer=lion task=rte").reference == "optimizer=adamw task=rte"
    assert not result.trends
    assert result.headline.startswith("optimizer=adamw is not the best choice")


def test_a_group_without_the_reference_is_not_tested():
    runs = table(two_arms(0.1 + NOISE).assign(task="rte"), arm(SEED_EFFECT, warmup_ratio=0.0, task="trec"))
    verdict = compared(runs, by=["warmup_ratio", "task"]).verdict("warmup_ratio=0 task=trec")
    assert (verdict.value, verdict.reference) == ("no_reference", None)
    assert "no arm that differs from it only in warmup_ratio has warmup_ratio=0.1" in verdict.sentence
    texts = table(arm(SEED_EFFECT, kind="a", task="x"), arm(SEED_EFFECT, kind="b", task="x"),
                  arm(SEED_EFFECT, kind="b", task="y"))  # fmt: skip
    assert compared(texts, by=["kind", "task"], reference="a").verdict("kind=b task=y").value == "no_reference"


def test_another_reference_of_a_warmup_is_named_by_its_value():
    """In two groups, so that the reference is no single arm."""
    runs = table(*(two_arms(0.1 + NOISE).assign(task=task) for task in ("rte", "trec")))
    result = compared(runs, by=["warmup_ratio", "task"], reference=0.0)
    assert [verdict.value for verdict in result.verdicts] == ["reference", "better"] * 2
    assert "Use about 10 % warmup" in result.headline
    few = compared(runs[runs["seed"] < 5], by=["warmup_ratio", "task"], reference=0.0)
    assert few.headline.startswith("Undecided: 5 seeds, and a test needs 6")


def test_seeds_may_have_names():
    runs = two_arms(0.1 + NOISE)
    runs["fold"] = "fold " + runs["seed"].astype(str)
    shuffled = runs.sample(frac=1, random_state=0)
    ours, expected = compared(shuffled, seed="fold"), compared(runs)
    name = "warmup_ratio=0"
    assert ours.verdict(name).test.p_value == pytest.approx(expected.verdict(name).test.p_value)


@pytest.mark.parametrize(
    "columns",
    [
        {"warmup_percent": [0, 10]},
        {"warmup_steps": [0, 36], "total_steps": [360, 360]},
        {"warmup_fraction": [0.0, 0.09]},
    ],
)
def test_ten_percent_is_the_reference_of_a_warmup(columns):
    by = next(iter(columns))
    runs = table(*(arm(SEED_EFFECT, **{name: values[row] for name, values in columns.items()}) for row in (0, 1)))
    assert compared(runs, by=by).reference == columns[by][1]


# --------------------------------------------------------------------------------------------- the errors

GOOD = two_arms(0.1 + NOISE)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"val_loss": np.nan}, {}, r"16 of 16 runs failed, .* pass entropy=, the loss of guessing"),
        (
            {"accuracy": np.nan}, {"metric": "accuracy", "higher_is_better": True},
            "pass majority_accuracy=, the accuracy of always answering",
        ),
        ({"h": np.nan, "val_loss": np.inf}, {"entropy": "h"}, "pass entropy="),
        ({}, {"entropy": "h"}, "the table has no column 'h'"),
        ({}, {"metric": "val_los"}, "no column 'val_los'; did you mean 'val_loss'"),
        ({}, {"by": []}, "by=.]: name the columns"),
        ({}, {"by": ["warmup_ratio", "seed"]}, "the column 'seed' is named twice"),
        ({"warmup_ratio": 0.1}, {}, "every row has warmup_ratio=0.1: there is nothing to compare"),
        ({}, {"reference": 0.2}, "reference=0.2: must be a value of warmup_ratio, one of 0, 0.1"),
        ({"size": [1] * 8 + [2] * 8}, {"by": "size"}, "reference is missing: name the value of size .* one of 1, 2"),
        ({"seed": 0}, {}, r"warmup_ratio=0 has several rows with seed=0"),
        ({"seed": [None] + [1] * 15}, {}, "1 of 16 rows have no value in the column 'seed'"),
        ({"bad": "no"}, {"failed": "bad"}, "the column 'bad' must be True for runs that failed"),
        ({"val_loss": "low"}, {}, "the column 'val_loss' must have numbers"),
        ({"lr": 0.0}, {"by": ["warmup_ratio", "lr"]}, "the column 'lr' has learning rates that are not numbers above"),
        ({"accuracy": 0.5}, {"metric": "accuracy"}, "larger values of accuracy are better: pass higher_is_better=True"),
        ({}, {"higher_is_better": True}, "smaller values of val_loss are better: pass higher_is_better=False"),
        (
            {"onset_lr": np.nan}, {"metric": "onset_lr", "higher_is_better": True},
            "a missing onset_lr does not mean that a run failed: name the column of failed runs",
        ),
        ({}, {"margin": 0.0}, "margin=0.0: must be positive"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_missing_is_named(change, options, message):
    with pytest.raises(ValueError, match=message):
        compared(GOOD.assign(**change), **options)


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="the table has no rows"):
        compared(GOOD[:0])


# -------------------------------------------------------------------------------------------- the result


def test_the_result_goes_into_json_and_into_text():
    losses = np.where(np.arange(8) < 5, np.nan, SEED_EFFECT)
    result = compared(table(arm(losses, warmup_ratio=0.0), arm(SEED_EFFECT, warmup_ratio=0.1)), entropy=LN2)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["arms"][0]["values"] == {"warmup_ratio": 0.0}
    assert content["verdicts"][0]["test"]["num_pairs"] == 8
    text = str(result)
    assert text.replace("\n", " ").startswith(result.headline)
    assert "warmup_ratio=0    5/8" in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_unknown_arm_is_a_key_error_that_lists_the_arms():
    with pytest.raises(KeyError, match=r"no arm is called 'x'; the arms are: warmup_ratio=0, warmup_ratio=0.1"):
        compared(GOOD).verdict("x")


# ------------------------------------------------------------------------------------- sentences that would be false


def test_values_that_are_better_and_worse_than_the_reference_do_not_depend_on_a_learning_rate():
    """A column of numbers that is no warmup: 8 and 64 are worse than 16 and swap places, 32 is better."""
    swap = 0.01 * (-1) ** np.arange(8)
    losses = {8: 0.45 + swap, 16: 0.40, 32: 0.35, 64: 0.45 - swap}
    runs = table(*(arm(loss + 0.001 * NOISE + 0 * SEED_EFFECT, batch_size=size) for size, loss in losses.items()))
    result = compared(runs, by="batch_size", reference=16)
    assert {verdict.value for verdict in result.verdicts} >= {"better", "worse"}
    assert result.headline.startswith(
        "batch_size=16 is not the best choice: batch_size=32 is better than batch_size=16"
    )


def test_a_trend_of_ranks_recommends_no_value_that_it_calls_the_worst():
    """0.1 is better by 0.005 at 11 of 12 seeds, and fails at one."""
    failed = np.arange(12) == 5
    runs = table(arm(np.full(12, 0.310), dropout=0.0), arm(np.where(failed, np.nan, 0.305), dropout=0.1))
    result = compared(runs, by="dropout", reference=0.0, entropy=LN2)
    assert min(trend.p_adjusted for trend in result.trends) < 0.05
    assert result.headline.startswith("Undecided: ")


def test_lr50_beyond_the_rates_that_were_tried_is_not_a_number():
    """The larger dropout never fails up to lr 0.004, so half of its runs fail above that."""
    parts = [
        arm(np.where(np.arange(12) < failures, np.nan, 0.4 + 0.001 * np.arange(12)), dropout=dropout, lr=lr)
        for dropout, counts in ((0.0, (0, 12, 12)), (0.1, (0, 0, 0)))
        for lr, failures in zip((1e-3, 2e-3, 4e-3), counts, strict=True)
    ]
    result = compared(table(*parts), by=["dropout", "lr"], reference=0.0, entropy=LN2)
    assert "Half of the runs fail at lr 0.0014 with 0, above lr 0.004 with 0.1" in result.headline
    assert "half of the runs fail above lr 0.004 [" in str(result)
