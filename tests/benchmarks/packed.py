"""K runs together against the same runs one by one: runs an hour, and what they come to.

    python tests/benchmarks/packed.py              # K = 1, 8, 32, 64; bert_tiny, bert_mini; a GPU where there is one
    python tests/benchmarks/packed.py --quick      # a minute on a CPU

Needs torch, transformers, tokenizers, numpy and pyarrow: neither Hydra nor datasets nor W&B. The task is SST-2, where
the environment variable WARMUP_LAB_DATA names a folder with sst2/train.tsv and sst2/validation.tsv; else the embedded
one.

One by one is `trainer.train`, timed over the first `--alone` runs and taken to last as long for the others. Together is
`packed.train_together`. Both are timed from the call to the last file written, alternating, after one warming-up call
of each; the medians of `--repeats` are compared. Dropout is off, so that the losses can be compared run by run: the
largest relative difference of the final training losses stands beside each ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch

from warmup_lab.packed import train_together
from warmup_lab.plan import Plan, make_plan
from warmup_lab.schema import (
    FilesTask,
    OptimizerConfig,
    RandomModel,
    RunConfig,
    SchedulerConfig,
    SyntheticTask,
    TaskConfig,
    TrackingConfig,
)
from warmup_lab.trainer import train

SHAPES = {"bert_tiny": (2, 128, 2), "bert_mini": (4, 256, 4)}
"""Layers, width, heads: as conf/model has them."""
WARMUPS = (0.0, 0.02, 0.1, 0.5)


def main() -> None:
    options = _options()
    rows = [
        measure(model, num_runs, options)
        for model in options.models
        for num_runs in options.runs
    ]  # fmt: skip
    print(f"\n{_machine(options.device)}; {options.updates} updates, {_task().title}, {options.precision}")
    print(_table(rows))
    value = {"benchmark": "packed", "machine": _machine(options.device), "task": _task().title, "rows": rows}
    value |= {"updates": options.updates, "precision": options.precision, "torch": str(torch.__version__)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 8, 32, 64], metavar="K")
    parser.add_argument("--updates", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--alone", type=int, default=4, help="runs timed one by one, at most")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--quick", action="store_true", help="bert_tiny, K = 1 and 8, 10 updates, twice")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/packed.json"))
    options = parser.parse_args()
    if options.quick:
        options.models, options.runs, options.updates, options.repeats, options.alone = ["bert_tiny"], [1, 8], 10, 2, 2
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


def measure(model: str, num_runs: int, options: argparse.Namespace) -> dict[str, Any]:
    chosen = plans(model, num_runs, options)
    first = chosen[: options.alone]
    together, alone = [], []
    for repeat in range(options.repeats + 1):  # the first of each warms caches and kernels up
        losses, seconds = _timed(lambda folder: _together(chosen, folder))
        losses_alone, seconds_alone = _timed(lambda folder: _one_by_one(first, folder))
        if repeat:
            together.append(seconds / num_runs)
            alone.append(seconds_alone / len(first))
    apart = max(abs(one / other - 1) for one, other in zip(losses, losses_alone, strict=False))
    row = {
        "model": model,
        "runs": num_runs,
        "seconds_a_run_alone": statistics.median(alone),
        "seconds_a_run_together": statistics.median(together),
        "ratio": statistics.median(alone) / statistics.median(together),
        "all_alone": alone,
        "all_together": together,
        "losses_apart": apart,
    }
    if options.device.startswith("cuda"):
        row["peak_bytes"] = torch.cuda.max_memory_allocated(options.device)
    print(_table([row]).splitlines()[-1], flush=True)
    return row


def _timed(work: Any) -> tuple[list[float], float]:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        losses = work(Path(folder))
        return losses, time.perf_counter() - started


def _together(chosen: list[Plan], folder: Path) -> list[float]:
    outcomes = train_together(chosen, [folder / plan.run_id for plan in chosen], show_progress=False)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome["metrics"]["train_loss"] for outcome in outcomes]  # type: ignore[index]


def _one_by_one(chosen: list[Plan], folder: Path) -> list[float]:
    return [train(plan, folder / plan.run_id, show_progress=False)["metrics"]["train_loss"] for plan in chosen]


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'model':<10} {'K':>3}  {'s a run alone':>16} {'s a run together':>19}  {'ratio':>6}  losses apart"]
    for row in rows:
        times = [_spread(row[f"all_{way}"]) for way in ("alone", "together")]
        numbers = f"{times[0]:>16} {times[1]:>19}  {row['ratio']:>5.2f}x  {row['losses_apart']:.1e}"
        lines.append(f"{row['model']:<10} {row['runs']:>3}  {numbers}")
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    half = (max(seconds) - min(seconds)) / 2
    return f"{statistics.median(seconds):.3f} +- {half:.3f}"


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
