"""The summary run of a sweep in Weights & Biases."""

import pytest
from fake_sweep import make_sweep
from report_files import arm_of

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.report.build import report_sweep
from warmup_lab.report.summary_run import (
    decisive_numbers,
    lr50_table,
    recommended,
    tags_of,
    verdict_table,
    warmup_series,
)

W0 = "warmuplinear-w0 (0 %) lr=0.003"
ONE_LINE = {"schedulers": ("warmuplinear",), "lrs": (1e-3,)}


@pytest.mark.usefixtures("empty_pictures")
def test_summary_run_is_logged_only_with_wandb(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("warmup_lab.tracking.summary.log_summary_run", lambda *args: calls.append(args))
    folder = make_sweep(tmp_path / "study", **ONE_LINE, seeds=2, ratios=(0.0, 0.1))
    report_sweep(folder, tracking=TrackingConfig(kind="none"))
    assert calls == []
    tracking = TrackingConfig(kind="wandb", mode="offline")
    found = report_sweep(folder, tracking=tracking)
    ((given, run),) = calls
    assert given == tracking
    assert (run.group, run.directory) == ("study", folder)
    assert set(run.tables) == {"verdicts", "runs"}, "without several lrs there is no table of lr50"
    assert (len(run.tables["verdicts"]), len(run.tables["runs"])) == (2, found["counts"]["runs"])
    assert [path.name for path in run.files] == ["report.html", "results.parquet", "comparison.json", "sweep.json"]
    assert run.notes == found["headline"]
    assert all(path.is_file() and path.suffix == ".png" for path in run.figures)
    assert run.summary["headline"] == found["headline"]
    assert run.summary.items() >= decisive_numbers(found).items()
    assert run.series == warmup_series(found)


def test_verdict_table_has_verdict_and_intervals_of_each_arm(comparison):
    table = verdict_table(comparison).set_index("name")
    assert list(table.index) == [arm["name"] for arm in comparison["arms"]]
    row, arm = table.loc[W0], arm_of(comparison, W0)
    test, failed = arm["verdict"]["test"], arm["failed"]
    assert (row["verdict"], row["reference"]) == (arm["verdict"]["value"], "warmuplinear-w12 (10 %) lr=0.003")
    assert [row["difference_low"], row["difference_high"]] == test["interval_95"]
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["mean_low"] < row["mean"] == arm["metrics"]["eval_loss"]["mean_of_all"] < row["mean_high"]
    assert row["mean"] != arm["mean"], "two of its runs failed"
    assert row["failure_rate"] == 2 / 6, "seeds 0 and 1 fail there"
    assert (row["failure_rate_low"], row["failure_rate_high"]) == (failed["low"], failed["high"])
    reference = table.loc["warmuplinear-w12 (10 %) lr=0.003"]
    assert reference["verdict"] == "reference"
    assert reference[["difference", "difference_low", "p_adjusted"]].isna().all()


def test_lr50_table_has_one_row_a_line(comparison):
    table = lr50_table(comparison).set_index("name")
    assert list(table.index) == [line["name"] for line in comparison["lr_lines"]]
    row = table.loc["warmuplinear-w0"]
    assert row["lr50_low"] <= row["lr50"] <= row["lr50_high"]
    assert row["ratio"] == pytest.approx(row["lr50"] / table.loc[row["reference"], "lr50"])
    assert lr50_table({"lr_lines": []}).empty


def test_recommended_lr_and_warmup_are_those_of_the_report(comparison):
    section = comparison["recommendation"]
    warmup_steps = section["warmup"]["steps"]
    assert recommended(section) == {"lr": section["lr"], "warmup_steps": warmup_steps, "decided": section["decided"]}
    assert recommended({"lr": None, "warmup": None, "decided": False})["warmup_steps"] is None


def test_tags_name_what_the_sweep_trained(comparison):
    assert tags_of(comparison) == ("summary", "synthetic", "bert_tiny", "adamw", "warmuplinear", "warmupcosine")


def test_warmup_series_run_over_warmup_length(comparison):
    series = warmup_series(comparison)
    oscillation = {"whole/roughness", "matched/roughness", "whole/spike_rate", "whole/max_rise"}
    assert set(series) == {"eval_loss", *oscillation, "failure_rate", "lr50"}
    line = series["whole/roughness"]["warmuplinear, lr 0.003"]
    assert [steps for steps, _ in line] == [0, 3, 12, 60]
    assert line[0][1] == arm_of(comparison, W0)["metrics"]["whole/roughness"]["mean"]
    assert series["failure_rate"]["warmuplinear, lr 0.003"][0] == (0, 1 / 3)
    assert (
        series["eval_loss"]["warmuplinear, lr 0.003"][0][1]
        == arm_of(comparison, W0)["metrics"]["eval_loss"]["mean_of_all"]
    )
    assert [steps for steps, _ in series["lr50"]["warmuplinear"]] == [0, 3, 12, 60]


def test_decisive_numbers_are_lr50_and_trends(comparison):
    found = decisive_numbers(comparison)
    assert set(found["lr50"]) == {line["name"] for line in comparison["lr_lines"]}
    low, middle, high = (found[name]["warmuplinear-w0"] for name in ("lr50_low", "lr50", "lr50_high"))
    assert low <= middle <= high
    assert set(found["trends"]) == {trend["of"] for trend in comparison["trends"]}
    assert found["trends"]["metric"]["p"] < 0.05
    assert decisive_numbers({"lr_lines": [], "trends": []}) == {}
