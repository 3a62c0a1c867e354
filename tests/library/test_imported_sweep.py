"""Training logs of other programs as a sweep: it is compared and reported like any other."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from fake_sweep import make_sweep

from warmup_lab import LoggedRun, import_runs, load_runs
from warmup_lab.comparison import build_comparison, read_sweep
from warmup_lab.figures import make_layout, oscillation_figure, traces_figure
from warmup_lab.report.page import render_page
from warmup_lab.report.terminal import report_text
from warmup_lab.runs import read_run

H = math.log(2)


def logged(log, **changes):
    usual = {"scheduler": "warmuplinear", "warmup_steps": 0, "total_steps": 120, "lr": 1e-3, "seed": 0}
    return LoggedRun(log=log, **usual | {"optimizer": "adamw", "task": "synthetic", "model": "bert_tiny"} | changes)


def log_of(loss, every=1):
    steps = every * np.arange(1, len(loss) + 1)
    return pd.DataFrame({"step": steps, "loss": loss, "eval_loss": loss, "eval_accuracy": 0.5})


def relogged(folder, job):
    """The log that another program would have left of a run of warmup-lab."""
    run = folder / job["run_id"]
    trace, result = pd.read_parquet(run / "trace.parquet"), json.loads((run / "result.json").read_text())
    evaluated = {name: result["metrics"][name] for name in ("eval_loss", "eval_accuracy") if name in result["metrics"]}
    log = trace.assign(step=trace["step"] + 1)
    log.loc[log.index[-1], list(evaluated)] = list(evaluated.values())
    names = ("scheduler", "warmup_steps", "total_steps", "lr", "seed", "optimizer", "task", "model")
    return LoggedRun(log=log, **{name: job["strategy"][name] for name in names})


def test_the_runs_of_a_sweep_are_the_same_after_export_and_import(tmp_path):
    """With a run that failed and one that diverged."""
    folder = make_sweep(tmp_path / "own", schedulers=["warmuplinear"], ratios=(0.0, 0.1), lrs=(1e-3, 3e-3), seeds=3)
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    import_runs([relogged(folder, job) for job in jobs], tmp_path / "other", entropy=H, majority_accuracy=0.5)
    own, other = load_runs(folder), load_runs(tmp_path / "other")
    assert set(own["status"]) == {"completed", "diverged"}
    assert own["failed_to_learn"].sum() == 2
    same = [name for name in own if name not in ("run_id", "train_loss", "t_eff", "warmup", "seconds")]
    pd.testing.assert_frame_equal(own[same], other[same])


def test_a_run_fails_by_the_median_loss_of_its_last_tenth(tmp_path):
    """20 rows of 5 updates each, so the last 2 rows are the last tenth; the threshold is 95 % of H."""
    start = np.full(18, 0.2)
    runs = [
        logged(log_of([*start, 0.96 * H, 0.96 * H], every=5), total_steps=100, seed=0),
        logged(log_of([*start, 0.94 * H, 0.94 * H], every=5), total_steps=100, seed=1),
    ]
    table = load_runs(import_runs(runs, tmp_path, entropy=H))
    assert table["failed_to_learn"].tolist() == [True, False]
    assert table["eval_loss"].tolist() == pytest.approx([0.96 * H, 0.94 * H])
    assert "whole/roughness" not in table, "a row stands for 5 updates"


def test_a_log_that_ends_early_is_an_error_and_does_not_count(tmp_path):
    whole, part = log_of(np.full(120, 0.3)), log_of(np.full(60, 0.3))
    runs = [logged(whole), logged(part, seed=1), logged(part, seed=2, diverged=True)]
    table = load_runs(import_runs(runs, tmp_path, entropy=H))
    assert table["status"].tolist() == ["completed", "error", "diverged"]
    assert table["error"][1] == "the log ends at update 60 of 120"
    assert table["failed_to_learn"].tolist() == [False, True, True]


def test_the_files_are_those_of_a_finished_run_and_a_second_import_replaces_them(tmp_path):
    for value in (0.3, 0.2):
        import_runs([logged(log_of(np.full(120, value)))], tmp_path, entropy=H)
        table = load_runs(tmp_path)
        assert table["eval_loss"].tolist() == [value]
        stored = read_run(tmp_path / table["run_id"][0], table["run_id"][0])
        assert stored.verified
        assert stored.finished is not None


def test_the_report_compares_imported_runs_and_names_no_command_that_trains_them(tmp_path):
    """With warmup every run learns at twice the learning rate, so lr50 is twice as large."""
    runs = [
        logged(
            log_of(np.full(120, H if lr > largest else 0.2 + 0.001 * seed)),
            warmup_steps=warmup, lr=lr, seed=seed, settings={"batch_size": 64},
        )
        for warmup, largest in ((0, 2e-3), (12, 4e-3))
        for lr in (1e-3, 2e-3, 4e-3, 8e-3)
        for seed in range(2)
    ]  # fmt: skip
    import_runs(runs, tmp_path, entropy=H, margin=0.05)
    _, found = build_comparison(read_sweep(tmp_path))
    assert [line["usable"]["lr50"] for line in found["lr_lines"]] == pytest.approx([2e-3 * 2**0.5, 4e-3 * 2**0.5])
    assert found["lr_lines"][0]["ratio"]["ratio"] == pytest.approx(0.5)
    assert found["primary"]["margin"] == 0.05
    assert found["stated_in_advance"] is None, "the margin was given after all runs had ended"
    assert "The question: final evaluation loss (smaller is better), a margin of 0.05." in found["summary"][0]
    assert found["recommendation"]["next_command"] is None
    page = render_page(found, [], "mine").partition("Commands to reproduce")[2].partition("<footer>")[0]
    assert "warmup_lab.report mine" in page
    assert "train.py" not in page + report_text(found, tmp_path / "report.html")


def test_figures_leave_out_what_a_log_does_not_have(tmp_path):
    """No learning rate in the first log, and in the second not one row per update."""
    losses = np.full(120, 0.3)
    bare = read_sweep(import_runs([logged(log_of(losses))], tmp_path / "bare", entropy=H))
    sparse = read_sweep(import_runs([logged(log_of(losses[:24], every=5))], tmp_path / "sparse", entropy=H))
    layouts = [make_layout(build_comparison(sweep)[1]["arms"]) for sweep in (bare, sparse)]
    (cells,) = traces_figure(bare.runs, bare.traces, layouts[0]).rows
    assert len(cells) == 1, "the loss without the learning rate"
    assert oscillation_figure(layouts[0]).rows
    assert not traces_figure(sparse.runs, sparse.traces, layouts[1]).rows
    assert not oscillation_figure(layouts[1]).rows


def test_the_primary_metric_is_the_training_loss_where_nothing_was_evaluated(tmp_path):
    runs = [logged(log_of(np.full(120, 0.3))[["step", "loss"]], seed=seed) for seed in range(2)]
    import_runs(runs, tmp_path, entropy=H)
    assert json.loads((tmp_path / "sweep.json").read_text())["compare"]["metric"] == "train_loss"


@pytest.mark.parametrize(
    ("runs", "entropy", "message"),
    [
        ([], H, "there are no runs to import"),
        ([logged(log_of([0.3] * 120))] * 2, H, "2 runs have the settings and the seed of warmuplinear-w0-lr0.001-s0"),
        ([logged(log_of([0.3] * 120), lr=-1.0)], H, r"warmuplinear-w0-lr-1-s0 adamw: lr=-1.0: must be above 0"),
        ([logged(log_of([0.3] * 120))], 0.0, r"entropy=0.0: must be above 0"),
    ],
)
def test_what_cannot_be_imported_is_refused_before_anything_is_written(tmp_path, runs, entropy, message):
    with pytest.raises(ValueError, match=message):
        import_runs(runs, tmp_path / "sweep", entropy=entropy)
    assert not (tmp_path / "sweep").exists()
