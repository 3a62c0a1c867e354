"""K stacked runs against the same runs one by one: runs an hour, and whether their losses agree.

    python tests/benchmarks/stacked.py              # K = 1, 8, 32, 64; bert_tiny, bert_mini; on a GPU if there is one
    python tests/benchmarks/stacked.py --quick      # K = 1 and 4, a few updates

Needs only torch and transformers, not Hydra, datasets or W&B. Without pyarrow both sides write their traces as JSON.
The task is SST-2 if the environment variable WARMUP_LAB_DATA names a folder with sst2/train.tsv and
sst2/validation.tsv, otherwise the embedded task.

"One by one" is `training.loop.train`, timed over the first `--alone` runs; the other runs are assumed to take as long.
"Together" is `training.stacked.train_stacked`. Both are timed from the call to the last file written, alternating,
after one call of each to warm up caches and kernels. Dropout is off, so that losses can be compared run by run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import timing
import torch

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, RunConfig, SchedulerConfig, TrackingConfig
from warmup_lab.config.task_schema import FilesTask, SyntheticTask, TaskConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.system.files import write_json
from warmup_lab.training.loop import train
from warmup_lab.training.stacked.train import train_stacked

SHAPES = {"bert_tiny": (2, 128, 2), "bert_mini": (4, 256, 4)}
"""Layers, width, heads: as conf/model has them."""
WARMUPS = (0.0, 0.02, 0.1, 0.5)
TARGETS = {"bert_tiny": 15.0, "bert_mini": 8.0}
"""Speed-up in runs an hour, for 64 runs on one GPU of the H200 class."""
SAME_LOSS = 1e-2
"""Largest relative difference of the final training losses. Float noise of 1e-7 grows over hundreds of updates. The
tests check that it starts as noise: 1e-5 over 50 updates."""


def main(words: Sequence[str] | None = None) -> None:
    options = _options(words)
    has_pyarrow = importlib.util.find_spec("pyarrow") is not None
    if not has_pyarrow:
        StepTable.write = _write_json  # type: ignore[method-assign]
    rows, checks = [], {}
    for model in options.models:
        for num_runs in options.runs:
            timing.say(f"stacked: {model}, {num_runs} runs on {_machine(options.device)}")
            row, apart = measure(model, num_runs, options)
            rows.append(row)
            checks[f"{model}, {num_runs} runs: largest relative difference of a run's training loss"] = apart
    settings = {
        "device": _machine(options.device), "task": _task().title, "updates": options.updates, "batch_size": 32,
        "precision": options.precision, "dropout": 0.0, "rounds": options.rounds, "timed_alone": options.alone,
        "traces": "parquet" if has_pyarrow else "json",
    }  # fmt: skip
    if options.device.startswith("cuda"):
        settings["peak_bytes"] = torch.cuda.max_memory_allocated(options.device)
    timing.write("stacked", rows, options.out, settings=settings, checks=checks, threads=options.threads)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = timing.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 8, 32, 64], metavar="K")
    parser.add_argument("--updates", type=int, default=240)
    parser.add_argument("--alone", type=int, default=4, help="runs timed one by one, at most")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    options = parser.parse_args(words)
    if options.quick:
        options.models, options.runs, options.updates, options.rounds, options.alone = ["bert_tiny"], [1, 4], 4, 1, 2
    return options


def _task() -> TaskConfig:
    folder = os.environ.get("WARMUP_LAB_DATA")
    if folder and (Path(folder) / "sst2").is_dir():
        files = {"train_file": f"{folder}/sst2/train.tsv", "validation_file": f"{folder}/sst2/validation.tsv"}
        return FilesTask("files", id="sst2", limit=2000, **files)
    return SyntheticTask("synthetic", num_train=2000, num_validation=400)


def plans(model: str, num_runs: int, options: argparse.Namespace) -> list[Plan]:
    """A study's grid: warmups crossed with seeds, evaluated at the end."""
    layers, width, heads = SHAPES[model]
    config = RunConfig(
        task=_task(),
        model=RandomModel("bert", num_layers=layers, hidden_size=width, num_heads=heads, dropout=0.0),
        optimizer=OptimizerConfig("adamw", 1e-4),
        scheduler=SchedulerConfig("warmuplinear"),
        tracking=TrackingConfig("none"),
        max_steps=options.updates, eval_every=None, device=options.device, precision=options.precision,
        num_threads=options.threads,
    )  # fmt: skip
    cells = [(WARMUPS[number % len(WARMUPS)], number // len(WARMUPS)) for number in range(num_runs)]
    return [make_plan(replace(config, warmup_ratio=warmup, seed=seed)) for warmup, seed in cells]


def measure(model: str, num_runs: int, options: argparse.Namespace) -> tuple[timing.Row, dict[str, Any]]:
    """Seconds a run, together and alone, and whether the losses agree."""
    chosen = plans(model, num_runs, options)
    sides: dict[str, tuple[list[Plan], Callable[[list[Plan], Path], list[float]]]] = {
        "together": (chosen, _together),
        "one by one": (chosen[: options.alone], _one_by_one),
    }
    losses: dict[str, list[float]] = {}

    def timed(name: str) -> Callable[[int], float]:
        def once(_: int) -> float:
            runs, work = sides[name]
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                losses[name] = work(runs, Path(folder))
                return (time.perf_counter() - started) / len(runs)

        return once

    for name in sides:
        timed(name)(0)
    found = timing.alternate({name: timed(name) for name in sides}, options.rounds)
    target = TARGETS[model] if num_runs == 64 and options.device.startswith("cuda") else None
    what = f"a run of {model}, {num_runs} together, {options.precision}, {_machine(options.device)}"
    names = ("together", "one by one")
    row = timing.compared("stacked", what, "s", found[names[0]], found[names[1]], names[1], faster=True, limit=target)
    apart = max(abs(one / other - 1) for one, other in zip(losses[names[0]], losses[names[1]], strict=False))
    return row, {"ok": apart <= SAME_LOSS, "numbers": {"largest": apart}, "tolerance": SAME_LOSS}


def _together(chosen: list[Plan], folder: Path) -> list[float]:
    outcomes = train_stacked(chosen, [folder / plan.run_id for plan in chosen], show_progress=False)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome["metrics"]["train_loss"] for outcome in outcomes]  # type: ignore[index]


def _one_by_one(chosen: list[Plan], folder: Path) -> list[float]:
    return [train(plan, folder / plan.run_id, show_progress=False)["metrics"]["train_loss"] for plan in chosen]


def _write_json(record: StepTable, path: Path) -> None:
    write_json(path.with_suffix(".json"), record.to_lists())


def _machine(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"


if __name__ == "__main__":
    main()
