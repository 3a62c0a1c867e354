"""The summary run of a sweep in Weights & Biases."""

from fake_sweep import make_sweep
from report_files import arm_of

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.report.build import report_sweep
from warmup_lab.report.summary_run import decisive_numbers, warmup_series

W0 = "warmuplinear-w0 (0 %) lr=0.003"
ONE_LINE = {"schedulers": ("warmuplinear",), "lrs": (1e-3,)}


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
    assert len(run.table) == found["counts"]["runs"]
    assert all(path.is_file() and path.suffix == ".png" for path in run.figures)
    assert run.summary["headline"] == found["headline"]
    assert run.summary.items() >= decisive_numbers(found).items()
    assert run.series == warmup_series(found)


def test_warmup_series_run_over_warmup_length(comparison):
    series = warmup_series(comparison)
    assert set(series) == {"eval_loss", "whole/roughness", "matched/roughness", "failure_rate", "lr50"}
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
