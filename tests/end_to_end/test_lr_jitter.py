"""`experiment=lr_jitter` as a whole: its cells, what it refuses, and a real search from ramps to the report."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from program import ROOT, SMALL
from scipy import stats

from warmup_lab.comparison.lr_jitter.advice import MULTIPLES
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
from warmup_lab.plan import make_plan
from warmup_lab.sweeps.lr_jitter_cells import JitterSearch

COMMAND = (
    *SMALL, "-m", "experiment=lr_jitter", "hydra/launcher=packed", "model.num_layers=1", "model.hidden_size=32",
    "task.max_length=12", "model.dropout=0",
)  # fmt: skip
"""The runs that hold a rate are trained together, which is the fastest way to have many small ones."""


def run(folder: Path, cache: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *COMMAND, *args], cwd=folder, text=True, capture_output=True,
        timeout=900, env={**os.environ, "WARMUP_LAB_CACHE": str(cache)}, check=False,
    )  # fmt: skip


ALLOWED = {"max_steps": "200", "probe.overshoot_every": "1", "seed": "range(5)"}
"""The smallest setting."""


def search(directory: Path, **changed: str) -> JitterSearch:
    """The cells of the smallest setting with some of it changed."""
    words = [f"{key}={value}" for key, value in (ALLOWED | changed).items()]

    def plan_cell(cell: list[str]):
        small = [word for word in SMALL if word.startswith("task.")]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return make_plan(resolve(compose("config", [*small, *cell]), multirun=True), multirun=True)

    return JitterSearch(OverridesParser.create().parse_overrides(words), directory, plan_cell)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("max_steps", "199", "at least 200 updates, and they have 199"),
        ("seed", "range(4)", "at least 5 seeds, such as 'seed=range(5)'"),
        ("seed", "0,1,2,2,1,0", "there are 3"),
        ("seed", "0", "there is 1"),
        ("probe.overshoot_every", "null", "needs the overshoot probe"),
        ("probe.overshoot_every", "3", "probes 67 of 200 updates, and lr_jitter needs 100"),
        ("optimizer.lr", "0.1,0.2", "optimizer.lr: lr_jitter sweeps the seeds alone"),
        ("scheduler", "warmuplinear", "chooses the schedules itself"),
    ],
)
def test_what_is_too_little_is_refused(key, value, words, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(words)):
        search(tmp_path, **{key: value})


def test_ramps_come_first_without_the_warmup_that_only_the_warmed_runs_have(tmp_path):
    cells = search(tmp_path, **{"warmup_steps": "50", "optimizer.lr": "0.1", "scheduler.ramp_start": "1e-3"})
    ramps = cells.ask()
    assert [cell[-1] for cell in ramps] == [f"seed={seed}" for seed in range(5)]
    assert all("scheduler=exponentialramp" in cell and "warmup_steps=50" not in cell for cell in ramps)
    cells.tell([{"status": "error", "strategy": {"scheduler": "exponentialramp"}}] * 5)
    assert cells.ask() == []  # no confirmation before every ramp has finished


def test_a_refusal_comes_in_one_line_before_anything_is_trained(tmp_path, shared_cache):
    done = run(tmp_path, shared_cache, "max_steps=2", "seed=0")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: lr_jitter needs at least 5 seeds")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def swept(tmp_path_factory, shared_cache) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The experiment with the fewest updates and seeds it allows: 55 runs of 200 updates."""
    folder = tmp_path_factory.mktemp("lr_jitter")
    done = run(folder, shared_cache, *SMALLEST)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "lr_jitter", done


SMALLEST = ("max_steps=200", "optimizer.lr=0.1", "task.num_train=64", "batch_size=16")


def traces(folder: Path, scheduler: str) -> dict[int, pd.DataFrame]:
    runs = pd.read_parquet(folder / "results.parquet")
    chosen = runs[runs.scheduler == scheduler]
    return {
        seed: pd.read_parquet(folder / run_id / "trace.parquet")
        for seed, run_id in zip(chosen.seed, chosen.run_id, strict=True)
    }


def by_hand(trace: pd.DataFrame) -> float | None:
    """The jitter lr of a ramp of 200 updates, by a loop and scipy: slow, and nothing of it shared."""

    def bounds(count: int, total: int):
        return stats.binomtest(count, total).proportion_ci(confidence_level=0.99, method="wilson")

    rose = trace.overshoot.astype(int).tolist()
    for start in range(50, 181):
        calmest = min(sum(rose[end - 50 : end]) for end in range(50, start + 1))
        window = rose[start : start + 20]
        if bounds(sum(window), 20).low > bounds(calmest, 50).high:
            return float(trace.lr[start + window.index(1)])
    return None


def test_the_section_is_what_the_traces_say(swept):
    folder, done = swept
    comparison = json.loads((folder / "comparison.json").read_text())
    section = comparison["lr_jitter"]
    expected = {seed: by_hand(trace) for seed, trace in traces(folder, "exponentialramp").items()}
    assert {ramp["seed"]: ramp["lr"] for ramp in section["ramps"]} == expected
    assert len(expected) == 5
    rates = [math.inf if lr is None else lr for lr in expected.values()]
    median = section["jitter_lr"]["median"]
    assert median == float(f"{sorted(rates)[2]:.2g}")
    assert comparison["headline"] == section["headline"]
    assert section["headline"] in done.stdout
    assert section["headline"] in (folder / "report.html").read_text()
    for sentence in section["sentences"]:
        assert sentence in done.stdout


def test_every_multiple_was_tried_cold_and_warmed_at_the_same_seeds(swept):
    folder, _ = swept
    section = json.loads((folder / "comparison.json").read_text())["lr_jitter"]
    runs = pd.read_parquet(folder / "results.parquet")
    survived = runs[(runs.status == "completed") & ~runs.failed_to_learn]
    assert len(section["trials"]) == 10
    for trial in section["trials"]:
        scheduler, steps = ("constantlr", 0) if trial["start"] == "cold" else ("warmupconstant", 20)
        same = survived[(survived.scheduler == scheduler) & np.isclose(survived.lr, trial["lr"])]
        assert trial["warmup_steps"] == steps
        assert trial["survived"]["count"] == len(same)
        assert trial["survived"]["total"] == 5
        assert sorted(trial["survivors"]) == sorted(same.seed)
    multiples = [(trial["start"], trial["multiple"]) for trial in section["trials"]]
    assert sorted(multiples) == sorted((start, multiple) for start in ("cold", "warmed") for multiple in MULTIPLES)
    for multiple in MULTIPLES:
        (lr,) = {trial["lr"] for trial in section["trials"] if trial["multiple"] == multiple}
        assert lr == pytest.approx(multiple * section["jitter_lr"]["median"], rel=0.005)


def test_cold_runs_hold_their_rate_from_the_first_update_and_warmed_ones_reach_it(swept):
    folder, _ = swept
    for trace in traces(folder, "constantlr").values():
        assert trace.lr.nunique() == 1
        assert "overshoot" not in trace
    for trace in traces(folder, "warmupconstant").values():
        assert trace.lr[0] == 0
        assert trace.lr[20:].nunique() == 1
    for trace in traces(folder, "exponentialramp").values():
        assert (trace.lr.iloc[0], trace.lr.iloc[-1]) == pytest.approx((1e-5, 0.1))


def test_the_same_command_again_trains_nothing(swept, shared_cache):
    folder, _ = swept
    before = json.loads((folder / "comparison.json").read_text())["lr_jitter"]
    done = run(folder.parent.parent, shared_cache, *SMALLEST)
    assert done.stderr.count("finished already, 0 to train") == 2
    assert json.loads((folder / "comparison.json").read_text())["lr_jitter"] == before
