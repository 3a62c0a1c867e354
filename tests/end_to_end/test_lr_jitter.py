"""`experiment=lr_jitter` as a whole, from the ramps to the report."""

from __future__ import annotations

import functools
import json
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from program import SMALL, SMALL_MODEL, train_py_here
from scipy import stats

from warmup_lab.cli.compose import compose_plan
from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.lr_jitter.survival import FIRST_MULTIPLES
from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.schema import RunConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs.trace import StepTable

SETTINGS = (
    *SMALL, *SMALL_MODEL, "experiment=lr_jitter", "max_steps=200", "task.num_train=64", "task.max_length=12",
    "model.dropout=0", "batch_size=16",
)  # fmt: skip
"""The fewest updates that the experiment accepts."""
FEWEST_SEEDS = "seed=range(6)"
SEEDS = range(6)
LN2 = math.log(2)


def test_a_refusal_comes_in_one_line_before_anything_is_trained(train_py_here, tmp_path):
    done = train_py_here(*SETTINGS, "-m", "max_steps=2", "seed=0")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: lr_jitter needs at least 6 seeds")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def column_lr(plan: Plan) -> list[float]:
    return [plan.config.optimizer.lr * plan.multiplier(step) for step in range(plan.total_steps)]


@functools.cache
def composed(scheduler: str) -> RunConfig:
    own = "scheduler.ramp_start=1e-3" if scheduler == "exponentialramp" else "probe.overshoot_every=null"
    return compose_plan([*SETTINGS, f"scheduler={scheduler}", own]).config


def plan_of(scheduler: str, lr: float, seed: int) -> Plan:
    config = composed(scheduler)
    return make_plan(replace(config, optimizer=replace(config.optimizer, lr=lr), seed=seed))


def plant(folder: Path, plan: Plan, *, survived: bool, eval_loss: float, overshoot: Any = None) -> None:
    """The files of this run if it were finished, as training leaves them."""
    step = np.arange(plan.total_steps)
    loss = LN2 * np.exp(-step / 50) if survived else np.full(plan.total_steps, LN2)
    columns = {"step": step, "epoch": step / 4, "lr": column_lr(plan), "loss": loss, "grad_norm": np.ones(len(step))}
    if overshoot is not None:
        columns["overshoot"] = overshoot.astype(float)
    directory = folder / plan.run_id
    directory.mkdir(parents=True)
    StepTable.from_lists({name: list(values) for name, values in columns.items()}).write(directory / "trace.parquet")
    result = {
        "schema": 1, "run_id": plan.run_id, "study": "lr_jitter", "status": "completed",
        "failed_to_learn": not survived, "num_classes": 2, "strategy": plan.strategy(),
        "metrics": {"train_loss": float(loss[-1]), "eval_loss": eval_loss, "eval_accuracy": 0.5},
        "resumed_at": [], "speed": {"seconds": 1.0, "updates_per_second": 200.0}, "versions": {}, "error": None,
    }  # fmt: skip
    (directory / "result.json").write_text(json.dumps(result))


def by_hand(overshoot: np.ndarray, lr: Sequence[float]) -> float:
    """The jitter lr of a ramp of 200 updates, infinite if there is none: slow loops that use only scipy."""

    def bounds(count: int, total: int):
        return stats.binomtest(count, total).proportion_ci(confidence_level=0.99, method="wilson")

    rose = overshoot.astype(int).tolist()
    for start in range(50, 181):
        calmest = min(sum(rose[end - 50 : end]) for end in range(50, start + 1))
        if bounds(sum(rose[start : start + 20]), 20).low > bounds(calmest, 50).high:
            first = max(end - 50 for end in range(50, start + 1) if sum(rose[end - 50 : end]) == calmest)
            return lr[best_split(rose, first, start + 20, min(200, start + 40))]
    return math.inf


def best_split(rose: list[int], first: int, last_split: int, last: int) -> int:
    """The most likely start of a higher rate of overshoots within `first` to `last`."""

    def log_likelihood(part: list[int]) -> float:
        share = sum(part) / len(part)
        return 0.0 if share in (0, 1) else sum(math.log(share if one else 1 - share) for one in part)

    found = {
        split: log_likelihood(rose[first:split]) + log_likelihood(rose[split:last])
        for split in range(first + 1, last_split)
        if np.mean(rose[split:last]) > np.mean(rose[first:split])
    }
    return max(found, key=lambda split: found[split])


SURVIVORS = {"cold": (6, 6, 6, 3, 3, 0, 0), "warmed": (6, 6, 6, 6, 5, 1, 0)}
"""Seeds that survive each multiple of the jitter lr, so the grid reaches both ends. Seed 0 is trained at 1 times."""


@dataclass(frozen=True)
class Experiment:
    """The experiment with made-up ramps that jitter, and what the command made of them."""

    folder: Path
    stdout: str
    stderr: str
    jitter_lrs: dict[int, float]
    """Expected, by seed."""
    run: Callable[[], Any]
    """The same command again."""

    @property
    def section(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "comparison.json").read_text())["lr_jitter"]
        return found


def middle(jitter_lrs: Iterable[float]) -> float:
    """The median of 6, on a logarithmic scale, with two digits."""
    return float(f"{math.sqrt(math.prod(sorted(jitter_lrs)[2:4])):.2g}")


@pytest.fixture(scope="module")
def jittering(tmp_path_factory) -> Experiment:
    """All ramps are planted, and all but two of the runs that hold a rate. The command has to train those two.

    They are in the middle of the grid, so that no rate is added, whatever becomes of them.
    """
    where = tmp_path_factory.mktemp("lr_jitter")
    folder = where / "runs" / "lr_jitter"
    jitter_lrs = {}
    for seed, starts_at in zip(SEEDS, (100, 115, 130, 140, 145, None), strict=True):
        ramp = plan_of("exponentialramp", 0.1, seed)
        rate = np.where(np.arange(200) < (starts_at or 200), 0.05, 0.8)
        overshoot = np.random.default_rng(seed).random(200) < rate
        jitter_lrs[seed] = by_hand(overshoot, column_lr(ramp))
        plant(folder, ramp, survived=True, eval_loss=0.4, overshoot=overshoot)
    jitter_lr = middle(jitter_lrs.values())
    for start, scheduler in (("cold", "constantlr"), ("warmed", "warmupconstant")):
        for multiple, survivors in zip(FIRST_MULTIPLES, SURVIVORS[start], strict=True):
            for seed in SEEDS[1:] if multiple == 1 else SEEDS:
                plan = plan_of(scheduler, float(f"{multiple * jitter_lr:.3g}"), seed)
                eval_loss = 0.5 - 0.1 * multiple + (0.02 + 0.001 * seed) * (start == "warmed") + 0.01 * seed
                plant(folder, plan, survived=seed < survivors, eval_loss=eval_loss)

    def run() -> Any:
        with mock.patch("warmup_lab.report.build.save_figure"):  # pictures take seconds
            return train_py_here(*SETTINGS, "-m", FEWEST_SEEDS, "hydra/launcher=stacked", "optimizer.lr=0.1", cwd=where)

    done = run()
    assert done.returncode == 0, done.stderr
    return Experiment(folder, done.stdout, done.stderr, jitter_lrs, run)


@pytest.mark.trains
def test_finished_ramps_are_followed_by_every_multiple_cold_and_warmed(jittering):
    assert "6 cells, 6 finished already, 0 to train" in jittering.stderr
    assert "84 cells, 82 finished already, 2 to train" in jittering.stderr
    assert jittering.stderr.count("to train") == 2
    tried = {(trial["start"], trial["multiple"]): trial for trial in jittering.section["trials"]}
    assert tried.keys() == {(start, multiple) for start in SURVIVORS for multiple in FIRST_MULTIPLES}
    for (start, multiple), trial in tried.items():
        assert trial["lr"] == pytest.approx(multiple * jittering.section["jitter_lr"]["median"], rel=0.005)
        assert trial["warmup_steps"] == {"cold": 0, "warmed": 20}[start]
        assert trial["survived"]["total"] == 6
        if multiple != 1:
            assert sorted(trial["survivors"]) == list(range(SURVIVORS[start][FIRST_MULTIPLES.index(multiple)]))


@pytest.mark.trains
def test_the_jitter_lr_is_what_the_overshoots_say(jittering):
    assert sum(map(math.isinf, jittering.jitter_lrs.values())) == 1
    found = {ramp["seed"]: ramp["lr"] or math.inf for ramp in jittering.section["ramps"]}
    assert found == jittering.jitter_lrs
    rate = jittering.section["jitter_lr"]
    assert rate["median"] == middle(found.values())
    assert (rate["low"], rate["high"]) == tuple(sorted(found.values())[:5:4])
    assert (rate["num_seeds"], rate["num_never"]) == (6, 1)


@pytest.mark.trains
def test_a_run_that_holds_a_rate_counts_as_its_result_says(jittering):
    """Whatever became of the two runs that were trained."""
    runs = pd.read_parquet(jittering.folder / "results.parquet")
    survived = runs[(runs.status == "completed") & ~runs.failed_to_learn]
    for trial in jittering.section["trials"]:
        scheduler = {"cold": "constantlr", "warmed": "warmupconstant"}[trial["start"]]
        same = survived[(survived.scheduler == scheduler) & np.isclose(survived.lr, trial["lr"])]
        assert trial["survived"]["count"] == len(same)
        assert sorted(trial["survivors"]) == sorted(same.seed)


@pytest.mark.trains
def test_cold_runs_hold_their_rate_from_the_first_update_and_warmed_ones_reach_it(jittering):
    lr = jittering.section["jitter_lr"]["median"]
    for scheduler, num_warmup in (("constantlr", 0), ("warmupconstant", 20)):
        run = plan_of(scheduler, lr, seed=0).run_id
        trace = StepTable.read(jittering.folder / run / "trace.parquet")
        used = trace.array("lr")
        assert (used[num_warmup:] == lr).all()
        assert used[:num_warmup].tolist() == pytest.approx([lr * step / 20 for step in range(num_warmup)])
        assert "overshoot" not in trace.columns


def lr50_ratios(trials: list[dict[str, Any]]) -> list[float]:
    """By hand: each rate that a seed survives more is a factor of 1.41."""
    num = {
        start: [sum(seed in trial["survivors"] for trial in trials if trial["start"] == start) for seed in SEEDS]
        for start in SURVIVORS
    }
    return [2 ** ((warmed - cold) / 2) for warmed, cold in zip(num["warmed"], num["cold"], strict=True)]


@pytest.mark.trains
def test_the_advice_is_printed_and_in_the_report(jittering):
    """Half of the jitter lr: all cold runs survived it, and the warmup raised their loss by 0.02 at every seed.

    Whether the ratio of the usable rates is decided depends on the processor.
    """
    section = jittering.section
    median = section["jitter_lr"]["median"]
    assert (section["recommendation"]["multiple"], section["recommendation"]["warmup_steps"]) == (0.5, 0)
    assert section["headline"].startswith(f"Use lr {median / 2:.3g} with no warmup; ")
    ratios = lr50_ratios(section["trials"])
    assert list(section["gain"]["at_seeds"].values()) == pytest.approx(ratios, rel=0.02)
    assert section["gain"]["ratio"] == pytest.approx(stats.gmean(ratios), rel=0.01)
    comparison = json.loads((jittering.folder / "comparison.json").read_text())
    assert comparison["headline"] == section["headline"]
    assert section["headline"] in jittering.stdout
    assert section["headline"] in (jittering.folder / "report.html").read_text()
    for sentence in section["sentences"]:
        assert sentence in jittering.stdout


@pytest.mark.trains
def test_an_interrupted_search_claims_nothing_about_runs_that_have_not_ended(jittering, tmp_path):
    """The folder as it is without the warmed runs at the three largest rates, at which cold runs have ended."""
    folder = tmp_path / "study"
    shutil.copytree(jittering.folder, folder, ignore=shutil.ignore_patterns("*.html", "figures", ".lock*"))
    limit = 0.8 * jittering.section["jitter_lr"]["median"]
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    later = [
        job["run_id"] for job in jobs
        if job["strategy"]["scheduler"] == "warmupconstant" and job["strategy"]["lr"] > limit
    ]  # fmt: skip
    for run in later:
        (folder / run / "result.json").unlink()
    _, found = build_comparison(read_sweep(folder))
    words = " ".join([found["headline"], *found["summary"]])
    assert found["headline"].startswith("Preliminary, 72 of 90 runs: nothing is recommended before all have ended.")
    assert "largest" not in words
    assert "raises" not in found["headline"]
    assert [row["run_id"] for row in found["unfinished"]] == later
    assert len(later) == 18
    warmed = [trial for trial in found["lr_jitter"]["trials"] if trial["start"] == "warmed"]
    assert [trial["survived"]["total"] for trial in warmed] == [6] * 4


@pytest.mark.trains
def test_the_same_command_again_trains_nothing(jittering):
    before = jittering.section
    done = jittering.run()
    assert done.stderr.count("finished already, 0 to train") == 2
    assert jittering.section == before


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_nothing_follows_ramps_without_jitter(train_py_here, tmp_path):
    """Rates below 1e-30 are too small to change any loss in float32, so no update can raise it."""
    done = train_py_here(*SETTINGS, "-m", FEWEST_SEEDS, "optimizer.lr=1e-30", "probe.overshoot_every=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("to train") == 1
    folder = tmp_path / "runs" / "lr_jitter"
    section = json.loads((folder / "comparison.json").read_text())["lr_jitter"]
    assert (section["jitter_lr"]["median"], section["jitter_lr"]["num_never"]) == (None, 6)
    assert section["trials"] == []
    assert section["recommendation"]["lr"] is None
    assert section["headline"] in done.stdout
    traces = [StepTable.read(folder / ramp["run_id"] / "trace.parquet") for ramp in section["ramps"]]
    assert len(traces) == 6
    for trace in traces:
        assert trace.array("overshoot")[::2].tolist() == [0.0] * 100
        assert np.isnan(trace.array("overshoot")[1::2]).all()
        assert trace.array("lr")[[0, -1]].tolist() == pytest.approx([1e-33, 1e-30], rel=1e-9, abs=0)
