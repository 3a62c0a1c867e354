"""The figures of the probes, from traces whose numbers are known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fake_sweep import make_sweep

from warmup_lab.report.build import report_sweep
from warmup_lab.runs.trace import StepTable

SEEDS = 3


def with_probes(folder):
    """Adds columns to each trace: sharpness 10 (1 + seed) at even updates, overshoot at seed 0 alone, one layer."""
    for job in json.loads((folder / "sweep.json").read_text())["jobs"]:
        path = folder / job["run_id"] / "trace.parquet"
        columns = StepTable.read(path).to_lists()
        seed, steps = job["strategy"]["seed"], columns["step"]
        columns["sharpness"] = [10.0 * (1 + seed) if step % 2 == 0 else None for step in steps]
        columns["overshoot"] = [float(seed == 0) for _ in steps]
        columns["cka/head"] = [1.0 for _ in steps]
        StepTable.from_lists(columns).write(path)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_sweep(
        tmp_path_factory.mktemp("probes") / "study",
        schedulers=("warmuplinear",), lrs=(1e-3,), ratios=(0.0, 0.1), seeds=SEEDS, total_steps=40,
    )  # fmt: skip
    report_sweep(with_probes(folder))
    return folder


def drawn(folder, place):
    """The rows of a chart in the page that hold a line each."""
    page = (folder / "report.html").read_text()
    spec = json.loads(page.partition('id="specs">')[2].partition("</script>")[0])[place]
    rows = [row for data in spec["datasets"].values() for row in data if "order" in row]
    return {row["line"]: row for row in rows}


def test_the_median_over_seeds_is_drawn_at_the_probed_updates(folder):
    lines = drawn(folder, "probes-1-0")
    assert set(lines) == {"0 updates of warmup (0 %)", "4 updates of warmup (10 %)"}
    for row in lines.values():
        assert row["x"] == list(range(0, 40, 2))
        assert row["y"] == [20.0] * 20
    rates = drawn(folder, "probes-1-1")["4 updates of warmup (10 %)"]["x"]
    steps = np.arange(2, 40, 2)  # the rate of update 0 is 0, which a logarithmic axis cannot show
    expected = 1e-3 * np.where(steps < 4, steps / 4, (40 - steps) / 36)
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


def test_overshoot_is_drawn_as_the_share_of_updates(folder):
    for row in drawn(folder, "probes-0-0").values():
        assert len(row["x"]) == 10
        np.testing.assert_allclose(row["y"], 1 / SEEDS, rtol=1e-4)


def test_the_figures_are_there_only_where_probes_ran(folder, tmp_path):
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"probes", "layers", "layers_lr"} <= names
    assert "overshoot" in pd.read_parquet(next(folder.glob("*/trace.parquet"))).columns
    assert "What the probes saw" in (folder / "report.html").read_text()
    plain = make_sweep(
        tmp_path / "study", schedulers=("warmuplinear",), lrs=(1e-3,), ratios=(0.0, 0.1), seeds=1, total_steps=40
    )
    report_sweep(plain)
    assert not {"probes", "layers", "layers_lr"} & {path.stem for path in (plain / "figures").iterdir()}
    assert "What the probes saw" not in (plain / "report.html").read_text()
