"""The figure of the probes: tables by hand, and the figure in a report."""

import json

import numpy as np
import pandas as pd
import pytest
from fake_arms import make_arm
from fake_sweep import make_sweep
from report_files import data_rows, read_specs

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.probes import (
    COLUMNS,
    binned,
    limit_rows,
    line_rows,
    probe_families,
    probe_table,
    probes_figure,
    value_range,
)
from warmup_lab.report.build import report_sweep
from warmup_lab.runs.stored_run import with_digests
from warmup_lab.runs.trace import StepTable

NAN = np.nan
OVERSHOOT, SHARPNESS, PRECONDITIONED, CRITICAL_LR, DEGENERATE = COLUMNS
LR = np.array([0.0, 0.1, 0.2, 0.1])
LINES = {
    "short": [
        {"lr": LR, "sharpness": np.array([1.0, NAN, 5.0, NAN]), "overshoot": np.array([1.0, 0.0, NAN, NAN])},
        {"lr": LR[:3], "sharpness": np.array([3.0, NAN, 7.0]), "overshoot": np.array([0.0, 0.0, NAN])},
    ],
    "not probed": [{"lr": LR}],
}


def points(table):
    return table.to_numpy().tolist()


# --- tables


def test_table_has_the_median_over_seeds_at_the_probed_updates():
    assert points(probe_table(LINES, "sharpness")) == [["short", 0, 0.0, 2.0], ["short", 2, 0.2, 6.0]]


def test_table_of_a_share_has_the_mean_over_seeds():
    assert points(probe_table(LINES, "overshoot", share=True)) == [["short", 0, 0.0, 0.5], ["short", 1, 0.1, 0.0]]


def test_table_of_a_column_that_was_not_probed_is_empty():
    assert probe_table(LINES, "critical_lr").empty


def test_long_line_has_120_points_unless_it_is_a_share():
    trace = {"lr": np.ones(500), "sharpness": np.arange(500.0), "overshoot": np.zeros(500)}
    table = probe_table({"line": [trace]}, "sharpness")
    assert len(table) == 120
    assert [table["step"].min(), table["step"].max()] == [0, 499]
    assert len(probe_table({"line": [trace]}, "overshoot", share=True)) == 500


def test_bins_are_tenths_of_the_updates():
    table = pd.DataFrame({"line": "a", "step": range(20), "lr": 1.0, "value": [0.0, 1.0] * 10})
    found = binned(table, "step")
    assert found["step"].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 18.5]
    assert found["value"].tolist() == [0.5] * 10


def test_bins_of_the_rate_are_logarithmic_and_leave_out_a_rate_of_zero():
    """Ten bins from 1 to 1024 = 2 ** 10 have a factor of 2 each; the last holds 1024 and nothing is between."""
    table = pd.DataFrame({"line": "a", "step": range(4), "lr": [0.0, 1.0, 1.5, 1024.0], "value": [9.0, 1.0, 0.0, 1.0]})
    found = binned(table, "lr")
    assert found["lr"].tolist() == [1.25, 1024.0]
    assert found["value"].tolist() == [0.5, 1.0]


def test_bins_of_nothing_are_empty():
    table = pd.DataFrame({"line": "a", "step": [0], "lr": [0.0], "value": [1.0]})
    assert binned(table, "lr").empty


def test_lines_leave_out_what_a_logarithmic_axis_cannot_show():
    table = pd.DataFrame({"line": "a", "step": [0, 1, 2], "lr": [0.0, 0.1, 0.2], "value": [1.0, -2.0, 3.0]})
    assert line_rows(table, SHARPNESS, "step") == [{"line": "a", "x": [0.0, 2.0], "y": [1.0, 3.0], "order": [0, 1]}]
    assert line_rows(table, SHARPNESS, "lr") == [{"line": "a", "x": [0.2], "y": [3.0], "order": [0]}]


@pytest.mark.parametrize(
    ("column", "limits"), [(SHARPNESS, [20.0, 10.0]), (PRECONDITIONED, [380.0, 190.0]), (CRITICAL_LR, [0.1, 0.2])]
)
def test_limit_is_that_of_each_updates_own_rate(column, limits):
    """2 / lr, 38 / lr and lr."""
    table = pd.DataFrame({"line": "a", "step": [0, 1, 2], "lr": [0.0, 0.1, 0.2], "value": 1.0})
    assert limit_rows(table, column, [1e-6, 1e6]) == [{"line": "a", "x": [1, 2], "y": limits}]


def test_limits_outside_the_frame_are_left_out():
    table = pd.DataFrame({"line": "a", "step": [1, 2], "lr": [0.1, 0.2], "value": 1.0})
    assert limit_rows(table, SHARPNESS, [1.0, 15.0]) == [{"line": "a", "x": [2], "y": [10.0]}]
    assert limit_rows(table, OVERSHOOT, [0.0, 1.0]) == []


def test_range_holds_the_limit_at_the_largest_rate():
    table = pd.DataFrame({"line": "a", "step": [0, 1], "lr": [0.1, 0.2], "value": [1.0, 4.0]})
    assert value_range([table], SHARPNESS) == [1.0 / 2.5, 10.0 * 2.5]
    assert value_range([table], OVERSHOOT) == [-0.03, 1.03]


def test_range_without_positive_values_is_not_empty():
    empty = pd.DataFrame({"line": ["a"], "step": [0], "lr": [0.1], "value": [0.0]})
    assert value_range([empty], SHARPNESS) == value_range([empty.iloc[:0]], SHARPNESS) == [0.1, 1.0]


def test_the_first_four_families_are_drawn():
    arms = [make_arm(0, name=f"arm{i}", lr=float(i + 1)) for i in range(6)]
    runs = pd.DataFrame({"run_id": "a", "arm": [arm["name"] for arm in arms], "seed": 0, "status": "completed"})
    families = probe_families(runs, {"a": {"loss": np.ones(2), "lr": np.ones(2)}}, make_layout(arms))
    assert list(families) == [f"warmuplinear, lr {lr}" for lr in (1, 2, 3, 4)]
    assert list(families["warmuplinear, lr 1"]) == ["0 updates of warmup (0 %)"]


# --- the figure


def test_updates_without_a_critical_lr_are_drawn_only_if_there_are_any():
    arms, runs = [make_arm(0, name="arm")], pd.DataFrame([("a", "arm", 0, "completed")])
    runs.columns = ["run_id", "arm", "seed", "status"]
    trace = {"loss": np.ones(4), "lr": np.ones(4), "critical_lr": np.ones(4), "critical_lr_degenerate": np.zeros(4)}
    figure = probes_figure(runs, {"a": trace}, make_layout(arms))
    assert [row[0].title for row in figure.rows] == ["Critical learning rate"]
    trace["critical_lr_degenerate"] = np.array([0.0, 1.0, 0.0, 0.0])
    figure = probes_figure(runs, {"a": trace}, make_layout(arms))
    assert [row[0].title for row in figure.rows] == [CRITICAL_LR.title, DEGENERATE.title]


SEEDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sharpness is 10 (1 + seed) at even updates, overshoot is at seed 0 only, and there is one layer."""
    folder = make_sweep(
        tmp_path_factory.mktemp("probes") / "study",
        schedulers=("warmuplinear",), lrs=(1e-3,), ratios=(0.0, 0.1), seeds=SEEDS, total_steps=40,
    )  # fmt: skip
    for job in json.loads((folder / "sweep.json").read_text())["jobs"]:
        path = folder / job["run_id"] / "trace.parquet"
        columns = StepTable.read(path).to_lists()
        seed, steps = job["strategy"]["seed"], columns["step"]
        columns["sharpness"] = [10.0 * (1 + seed) if step % 2 == 0 else None for step in steps]
        columns["overshoot"] = [float(seed == 0) for _ in steps]
        columns["cka/head"] = [1.0 for _ in steps]
        StepTable.from_lists(columns).write(path)
        result = json.loads((path.parent / "result.json").read_text())
        (path.parent / "result.json").write_text(json.dumps(with_digests(path.parent, result)))
    report_sweep(folder)
    return folder


def drawn(folder, chart):
    """The rows of a chart in the page that hold the points of a line, by line."""
    return {row["line"]: row for row in data_rows(read_specs(folder)[chart]) if "order" in row}


def test_median_over_seeds_is_drawn_at_the_probed_updates(folder):
    lines = drawn(folder, "probes-1-0")
    assert set(lines) == {"0 updates of warmup (0 %)", "4 updates of warmup (10 %)"}
    for row in lines.values():
        assert row["x"] == list(range(0, 40, 2))
        assert row["y"] == [20.0] * 20
    rates = drawn(folder, "probes-1-1")["4 updates of warmup (10 %)"]["x"]
    steps = np.arange(2, 40, 2)  # the rate of update 0 is 0, which a logarithmic axis cannot show
    expected = 1e-3 * np.where(steps < 4, steps / 4, (40 - steps) / 36)
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


def test_overshoot_is_drawn_as_a_share_of_updates(folder):
    for row in drawn(folder, "probes-0-0").values():
        assert len(row["x"]) == 10
        np.testing.assert_allclose(row["y"], 1 / SEEDS, rtol=1e-4)


def test_report_has_the_figures_only_if_probes_ran(folder, tmp_path):
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"probes", "layers", "layers_lr"} <= names
    assert "overshoot" in pd.read_parquet(next(folder.glob("*/trace.parquet"))).columns
    assert "Probe measurements" in (folder / "report.html").read_text()
    plain = make_sweep(
        tmp_path / "study", schedulers=("warmuplinear",), lrs=(1e-3,), ratios=(0.0, 0.1), seeds=1, total_steps=40
    )
    report_sweep(plain)
    assert not {"probes", "layers", "layers_lr"} & {path.stem for path in (plain / "figures").iterdir()}
    assert "Probe measurements" not in (plain / "report.html").read_text()
