"""The table of runs, read from made-up folders."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from fake_sweep import Outcome, learning_curve, make_sweep

from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.errors import ConfigError
from warmup_lab.metrics.oscillation import summarise
from warmup_lab.runs import metric_of, read_result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("sweep") / "study")


@pytest.fixture(scope="module")
def sweep(folder):
    return read_sweep(folder)


def test_the_table_has_one_row_per_run_and_ordered_columns(sweep):
    assert len(sweep.runs) == 2 * 2 * 4 * 6
    assert list(sweep.runs.columns[:15]) == [
        "run_id", "arm", "scheduler", "warmup_steps", "total_steps", "lr", "seed", "task", "model", "optimizer",
        "warmup", "t_eff", "warmup_asked", "setting", "status",
    ]  # fmt: skip
    assert list(sweep.runs.columns[-4:]) == ["guess_loss", "guess_accuracy", "error", "seconds"]
    assert {"train_loss", "eval_loss", "whole/roughness", "late/max_rise"} <= set(sweep.runs.columns)


def test_settings_and_metrics_are_those_of_the_result_files(folder, sweep):
    row = sweep.runs[(sweep.runs["scheduler"] == "warmupcosine") & (sweep.runs["warmup_steps"] == 12)].iloc[3]
    result = json.loads((folder / row["run_id"] / "result.json").read_text())
    assert row["seed"] == result["strategy"]["seed"] == 3
    assert row["eval_loss"] == result["metrics"]["eval_loss"]
    assert (row["status"], row["failed_to_learn"], row["seconds"]) == ("completed", False, 1.5)
    assert row["arm"] == "warmupcosine-w12 (10 %) lr=0.001"


def test_oscillation_is_recomputed_from_the_traces(folder, sweep):
    row = sweep.runs.iloc[0]
    path = folder / row["run_id"] / "result.json"
    assert row["whole/roughness"] == json.loads(path.read_text())["metrics"]["oscillation"]["whole"]["roughness"]
    trace = pd.read_parquet(folder / row["run_id"] / "trace.parquet")
    expected = summarise(trace["loss"], trace["lr"], entropy=math.log(2), total_steps=120)
    for window, metrics in expected.items():
        for name, value in metrics.items():
            np.testing.assert_equal(row[f"{window}/{name}"], np.nan if value is None else value)


def change_results(folder, **changes):
    """Replaces keys of every `result.json`. Schema 1 has no digest that would show the change."""
    for path in folder.glob("*/result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 1} | changes))


def test_what_guessing_scores_is_that_of_the_training_labels(tmp_path):
    folder = make_sweep(tmp_path / "study", seeds=1)
    balanced = read_sweep(folder).runs
    change_results(folder, label_entropy=0.325, majority_accuracy=0.9)
    runs = read_sweep(folder).runs
    assert set(runs["guess_loss"]) == {0.325}
    assert set(runs["guess_accuracy"]) == {0.9}
    ratio = runs["whole/roughness"] / balanced["whole/roughness"]
    assert ratio.dropna().tolist() == pytest.approx([np.log(2) / 0.325] * ratio.notna().sum()), "H is its unit"


def test_results_of_older_versions_have_the_guess_of_balanced_classes(tmp_path):
    folder = make_sweep(tmp_path / "study", seeds=1)
    change_results(folder, label_entropy=None, majority_accuracy=None, num_classes=4)
    runs = read_sweep(folder).runs
    assert set(runs["guess_loss"]) == {np.log(4)}
    assert set(runs["guess_accuracy"]) == {0.25}


def test_runs_without_known_labels_have_no_oscillation(tmp_path):
    folder = make_sweep(tmp_path / "study", seeds=1)
    change_results(folder, label_entropy=None, majority_accuracy=None, num_classes=None)
    runs = read_sweep(folder).runs
    assert runs["guess_loss"].isna().all()
    assert not any(name.startswith("whole/") for name in runs.columns)


def test_oscillation_in_a_result_is_ignored(tmp_path):
    folder = make_sweep(tmp_path / "study", seeds=1)
    run_id = read_sweep(folder).runs["run_id"][0]
    path = folder / run_id / "result.json"
    result = json.loads(path.read_text())
    result["schema"], result["metrics"]["oscillation"]["whole"]["roughness"] = 1, 99.0
    path.write_text(json.dumps(result))
    assert read_sweep(folder).runs["whole/roughness"][0] < 1


def test_only_lr_and_loss_of_the_traces_are_kept(sweep):
    assert len(sweep.traces) == len(sweep.runs)
    assert {tuple(trace) for trace in sweep.traces.values()} == {("lr", "loss")}
    assert all(trace["loss"].dtype == trace["lr"].dtype == np.float64 for trace in sweep.traces.values())


def test_a_diverged_run_has_its_trace_and_no_evaluation(sweep):
    diverged = sweep.runs[sweep.runs["status"] == "diverged"]
    assert len(diverged) == 2
    assert diverged["eval_loss"].isna().all()
    assert diverged["failed_to_learn"].all()
    assert diverged["whole/roughness"].notna().all()
    loss = sweep.traces[diverged["run_id"].iloc[0]]["loss"]
    assert len(loss) == 38
    assert np.isnan(loss[-1])


def test_two_ratios_that_resolve_to_the_same_run_are_one_row_of_one_arm(tmp_path):
    folder = make_sweep(
        tmp_path / "study", schedulers=("warmuplinear",), ratios=(0.0, 0.02, 0.05), lrs=(1e-3,), total_steps=20
    )
    runs = read_sweep(folder).runs
    assert len(runs) == 2 * 6
    assert set(runs["arm"]) == {"warmuplinear-w0 (0 %)", "warmuplinear-w1 (2 %, 5 %)"}
    assert set(runs.loc[runs["warmup_steps"] == 1, "warmup_asked"]) == {"2 %, 5 %"}


def test_constantlr_crossed_with_warmups_is_one_arm(tmp_path):
    runs = read_sweep(make_sweep(tmp_path / "study", schedulers=("constantlr",), lrs=(1e-3,))).runs
    assert set(runs["arm"]) == {"constantlr-w0"}
    assert len(runs) == 6


def test_other_varied_settings_are_part_of_the_name_of_an_arm(tmp_path):
    folder = make_sweep(tmp_path / "study", lrs=(1e-3,), ratios=(0.1,), extra=("batch_size=16", "batch_size=32"))
    runs = read_sweep(folder).runs
    assert set(runs["setting"]) == {"batch_size=16", "batch_size=32"}
    assert "warmuplinear-w12 (10 %) batch_size=32" in set(runs["arm"])


def test_arms_of_equal_name_get_their_id(tmp_path):
    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), ratios=(0.1,), lrs=(1e-3, 1.0000001e-3))
    arms = read_sweep(folder).runs["arm"].unique()
    assert len(arms) == 2
    assert arms[1].startswith(arms[0])


def test_runs_with_an_error_or_without_a_result_have_a_status_and_a_reason(tmp_path):
    def outcome(strategy):
        return [Outcome(), Outcome("error", error="RuntimeError: out of memory"), None][strategy["seed"] % 3]

    runs = read_sweep(make_sweep(tmp_path / "study", seeds=3, outcome=outcome)).runs
    assert runs["status"].tolist()[:3] == ["completed", "error", "unfinished"]
    assert runs["error"][1] == "RuntimeError: out of memory"
    assert "left no result" in runs["error"][2]
    assert runs.loc[runs["status"] != "completed", "whole/roughness"].isna().all()
    assert runs["failed_to_learn"].tolist()[:3] == [False, True, True]


def test_columns_have_the_same_types_if_no_run_finished(tmp_path, sweep):
    runs = read_sweep(make_sweep(tmp_path / "study", outcome=lambda _: None)).runs
    shared = list(runs.columns)
    assert runs.dtypes.tolist() == sweep.runs[shared].dtypes.tolist()


def test_only_runs_of_the_current_job_list_are_read(tmp_path):
    make_sweep(tmp_path / "study", seeds=4)
    make_sweep(tmp_path / "study", seeds=2)
    assert set(read_sweep(tmp_path / "study").runs["seed"]) == {0, 1}


def test_versions_of_all_runs_are_listed(folder, tmp_path):
    make_sweep(tmp_path / "study", seeds=1, lrs=(1e-3,))
    run_id = read_sweep(tmp_path / "study").runs["run_id"][0]
    path = tmp_path / "study" / run_id / "result.json"
    result = json.loads(path.read_text())
    result["schema"], result["versions"]["torch"] = 1, "2.12.0"
    path.write_text(json.dumps(result))
    assert read_sweep(tmp_path / "study").versions["torch"] == "2.12.0, 2.11.0"
    path.write_text(json.dumps(result | {"mixed_versions": {"torch": ["2.10.0", "2.12.0"]}}))
    assert read_sweep(tmp_path / "study").versions["torch"] == "2.10.0, 2.12.0, 2.11.0"
    assert read_sweep(folder).versions["torch"] == "2.11.0"


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no sweep\.json"):
        read_sweep(tmp_path)


def test_a_metric_of_one_result(folder, sweep, tmp_path):
    result = read_result(folder / sweep.runs["run_id"][0])
    oscillation = result["metrics"]["oscillation"]
    assert metric_of(result, "eval_loss") == result["metrics"]["eval_loss"]
    assert metric_of(result, "roughness") == oscillation["whole"]["roughness"]
    assert metric_of(result, "early/roughness") == oscillation["early"]["roughness"]
    assert metric_of({"metrics": {}}, "eval_loss") is None
    assert read_result(tmp_path) is None
    with pytest.raises(ConfigError, match="did you mean 'eval_loss'"):
        metric_of(result, "eval_los")


def test_the_noise_of_a_seed_is_the_same_in_every_arm_of_a_made_up_sweep():
    first, second = ({"total_steps": 50, "seed": 4, "lr": lr} for lr in (1e-3, 3e-3))
    np.testing.assert_array_equal(learning_curve(first), learning_curve(second))
