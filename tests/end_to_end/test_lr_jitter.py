"""`experiment=lr_jitter` as a whole: its cells, what it refuses, and a search from the ramps to the report."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from program import ROOT, SMALL, SMALL_MODEL, train_py_here
from scipy import stats

from warmup_lab.cli.compose import compose_plan
from warmup_lab.comparison.lr_jitter.survival import MULTIPLES
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
from warmup_lab.config.schema import RunConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.sweeps.lr_jitter_cells import JitterSearch

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
        ("max_steps", "199", "at least 200 updates, and these have 199"),
        ("seed", "range(4)", "and got 4: set 'seed=range(5)'"),
        ("seed", "0,1,2,2,1,0", "and got 3"),
        ("seed", "0", "and got 1"),
        ("probe.overshoot_every", "null", "needs the overshoot probe"),
        ("probe.overshoot_every", "3", "probes 67 of 200 updates, and lr_jitter needs 100"),
        ("optimizer.lr", "0.1,0.2", "optimizer.lr: lr_jitter sweeps only the seed"),
        ("scheduler", "warmuplinear", "sets the schedules itself"),
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


# ------------------------------------------------------------------------------------------ the whole experiment

SETTINGS = (
    *SMALL, *SMALL_MODEL, "experiment=lr_jitter", "max_steps=200", "task.num_train=64", "task.max_length=12",
    "model.dropout=0", "batch_size=16",
)  # fmt: skip
"""The fewest updates and seeds that the experiment accepts: 5 ramps and 50 runs that hold a rate, of 200 updates."""
SEEDS = range(5)
LN2 = math.log(2)


def test_a_refusal_comes_in_one_line_before_anything_is_trained(train_py_here, tmp_path):
    done = train_py_here(*SETTINGS, "-m", "max_steps=2", "seed=0")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: lr_jitter needs at least 5 seeds")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def column_lr(plan: Plan) -> list[float]:
    return [plan.config.optimizer.lr * plan.multiplier(step) for step in range(plan.total_steps)]


@functools.cache
def composed(scheduler: str) -> RunConfig:
    probe = [] if scheduler == "exponentialramp" else ["probe.overshoot_every=null"]
    return compose_plan([*SETTINGS, f"scheduler={scheduler}", *probe]).config


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
    """The jitter lr of a ramp of 200 updates, infinite if there is none: a slow loop that uses only scipy."""

    def bounds(count: int, total: int):
        return stats.binomtest(count, total).proportion_ci(confidence_level=0.99, method="wilson")

    rose = overshoot.astype(int).tolist()
    for start in range(50, 181):
        calmest = min(sum(rose[end - 50 : end]) for end in range(50, start + 1))
        window = rose[start : start + 20]
        if bounds(sum(window), 20).low > bounds(calmest, 50).high:
            return lr[start + window.index(1)]
    return math.inf


SURVIVORS = {"cold": {0.25: 5, 0.5: 5, 1.0: 3, 2.0: 0}, "warmed": {0.25: 5, 0.5: 5, 1.0: 5, 2.0: 1}}
"""Seeds that survive each multiple of the jitter lr. At 4 times the jitter lr seeds 1 to 4 fail; seed 0 is trained."""


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


@pytest.fixture(scope="module")
def jittering(tmp_path_factory) -> Experiment:
    """All ramps are planted, and all but two of the runs that hold a rate. The command has to train those two."""
    where = tmp_path_factory.mktemp("lr_jitter")
    folder = where / "runs" / "lr_jitter"
    jitter_lrs = {}
    for seed, starts_at in zip(SEEDS, (100, 115, 130, 145, None), strict=True):
        ramp = plan_of("exponentialramp", 0.1, seed)
        rate = np.where(np.arange(200) < (starts_at or 200), 0.05, 0.8)
        overshoot = np.random.default_rng(seed).random(200) < rate
        jitter_lrs[seed] = by_hand(overshoot, column_lr(ramp))
        plant(folder, ramp, survived=True, eval_loss=0.4, overshoot=overshoot)
    jitter_lr = float(f"{sorted(jitter_lrs.values())[2]:.2g}")
    for start, scheduler in (("cold", "constantlr"), ("warmed", "warmupconstant")):
        for multiple in MULTIPLES:
            for seed in SEEDS if multiple < 4 else SEEDS[1:]:
                plan = plan_of(scheduler, float(f"{multiple * jitter_lr:.3g}"), seed)
                eval_loss = 0.5 - 0.1 * multiple + (0.02 + 0.001 * seed) * (start == "warmed") + 0.01 * seed
                survived = seed < SURVIVORS[start].get(multiple, 0)
                plant(folder, plan, survived=survived, eval_loss=eval_loss)

    def run() -> Any:
        return train_py_here(*SETTINGS, "-m", "hydra/launcher=stacked", "optimizer.lr=0.1", cwd=where)

    done = run()
    assert done.returncode == 0, done.stderr
    return Experiment(folder, done.stdout, done.stderr, jitter_lrs, run)


@pytest.mark.trains
def test_finished_ramps_are_followed_by_every_multiple_cold_and_warmed(jittering):
    assert "5 cells, 5 finished already, 0 to train" in jittering.stderr
    assert "50 cells, 48 finished already, 2 to train" in jittering.stderr
    tried = {(trial["start"], trial["multiple"]): trial for trial in jittering.section["trials"]}
    assert tried.keys() == {(start, multiple) for start in ("cold", "warmed") for multiple in MULTIPLES}
    for (start, multiple), trial in tried.items():
        assert trial["lr"] == pytest.approx(multiple * jittering.section["jitter_lr"]["median"], rel=0.005)
        assert trial["warmup_steps"] == {"cold": 0, "warmed": 20}[start]
        assert trial["survived"]["total"] == 5
        if multiple < 4:
            assert sorted(trial["survivors"]) == list(range(SURVIVORS[start][multiple]))


@pytest.mark.trains
def test_the_jitter_lr_is_what_the_overshoots_say(jittering):
    assert sum(map(math.isinf, jittering.jitter_lrs.values())) == 1
    found = {ramp["seed"]: ramp["lr"] or math.inf for ramp in jittering.section["ramps"]}
    assert found == jittering.jitter_lrs
    rate = jittering.section["jitter_lr"]
    assert rate["median"] == float(f"{sorted(found.values())[2]:.2g}")
    assert (rate["low"], rate["high"]) == tuple(sorted(found.values())[:4:3])
    assert (rate["num_seeds"], rate["num_never"]) == (5, 1)


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
    lr = float(f"{4 * jittering.section['jitter_lr']['median']:.3g}")
    for scheduler, num_warmup in (("constantlr", 0), ("warmupconstant", 20)):
        run = plan_of(scheduler, lr, seed=0).run_id
        trace = StepTable.read(jittering.folder / run / "trace.parquet")
        used = trace.array("lr")
        assert (used[num_warmup:] == lr).all()
        assert used[:num_warmup].tolist() == pytest.approx([lr * step / 20 for step in range(num_warmup)])
        assert "overshoot" not in trace.columns


@pytest.mark.trains
def test_the_advice_is_printed_and_in_the_report(jittering):
    """Half of the jitter lr: all cold runs survived it, and the warmup raised their loss by 0.02 at every seed."""
    section = jittering.section
    median = section["jitter_lr"]["median"]
    assert (section["recommendation"]["multiple"], section["recommendation"]["warmup_steps"]) == (0.5, 0)
    assert section["headline"].startswith(f"Recommended: lr {median / 2:.3g} with no warmup.")
    assert section["gain"]["ratio"] == pytest.approx(2.0, rel=0.005), "the jitter lr warmed, half of it cold"
    comparison = json.loads((jittering.folder / "comparison.json").read_text())
    assert comparison["headline"] == section["headline"]
    assert section["headline"] in jittering.stdout
    assert section["headline"] in (jittering.folder / "report.html").read_text()
    for sentence in section["sentences"]:
        assert sentence in jittering.stdout


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_the_same_command_again_trains_nothing(jittering):
    before = jittering.section
    done = jittering.run()
    assert done.stderr.count("finished already, 0 to train") == 2
    assert jittering.section == before


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_nothing_follows_ramps_without_jitter(train_py_here, tmp_path):
    """Rates below 1e-30 are too small to change any loss in float32, so no update can raise it."""
    done = train_py_here(*SETTINGS, "-m", "optimizer.lr=1e-30", "probe.overshoot_every=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("to train") == 1
    folder = tmp_path / "runs" / "lr_jitter"
    section = json.loads((folder / "comparison.json").read_text())["lr_jitter"]
    assert (section["jitter_lr"]["median"], section["jitter_lr"]["num_never"]) == (None, 5)
    assert section["trials"] == []
    assert section["recommendation"]["lr"] is None
    assert section["headline"] in done.stdout
    traces = [StepTable.read(folder / ramp["run_id"] / "trace.parquet") for ramp in section["ramps"]]
    assert len(traces) == 5
    for trace in traces:
        assert trace.array("overshoot")[::2].tolist() == [0.0] * 100
        assert np.isnan(trace.array("overshoot")[1::2]).all()
        assert trace.array("lr")[[0, -1]].tolist() == pytest.approx([1e-34, 1e-30], rel=1e-9, abs=0)
