"""The folder of a sweep as `train.py -m` leaves it, with outcomes that a test chooses; nothing is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warmup_lab.metrics.oscillation import summarise
from warmup_lab.runs.stored_run import RETRAIN, with_digests
from warmup_lab.runs.trace import TRACE_COLUMNS
from warmup_lab.schedules.registry import make_schedule
from warmup_lab.sweeps.jobs import Job

LN2 = float(np.log(2))


@dataclass
class Outcome:
    """The result of a run."""

    status: str = "completed"
    failed_to_learn: bool = False
    loss: np.ndarray | None = None
    """Loss of each update; `learning_curve` by default."""
    metrics: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    overshoot: np.ndarray | None = None
    """The overshoot probe's column of the trace, of the length of the loss."""


def learning_curve(strategy: dict[str, Any], *, jitter: float = 0.05, floor: float = 0.2) -> np.ndarray:
    """A loss that falls from chance to `floor` of chance; the noise depends on the seed only, not on the arm."""
    total = strategy["total_steps"]
    noise = np.random.default_rng(strategy["seed"]).standard_normal(total)
    step = np.arange(total)
    return LN2 * (floor + (1 - floor) * np.exp(-5 * step / total)) + jitter * LN2 * noise


def usual(strategy: dict[str, Any]) -> Outcome:
    """Less jitter and a lower final loss with more warmup; at lr 3e-3 without warmup seeds 0 and 1 fail."""
    share, seed = strategy["warmup_ratio"], strategy["seed"]
    fails = strategy["lr"] > 2e-3 and share == 0
    if fails and seed == 0:
        loss = learning_curve(strategy)[: min(37, strategy["total_steps"] - 1)]
        return Outcome("diverged", True, np.append(loss, np.nan), {"train_loss": None})
    if fails and seed == 1:
        noise = np.random.default_rng(seed).standard_normal(strategy["total_steps"])
        return Outcome(
            "completed", True, LN2 + 0.001 * noise, {"train_loss": LN2, "eval_loss": LN2, "eval_accuracy": 0.5}
        )
    noise = np.random.default_rng([seed, strategy["warmup_steps"]]).standard_normal()
    eval_loss = 0.35 - 0.1 * min(share, 0.1) / 0.1 + 0.02 * seed / 6 + 0.005 * noise + 20 * (strategy["lr"] - 1e-3)
    loss = learning_curve(strategy, jitter=(0.02 + 0.06 * np.exp(-8 * share)) * (strategy["lr"] / 1e-3) ** 0.5)
    return Outcome(loss=loss, metrics={"train_loss": 0.15, "eval_loss": eval_loss, "eval_accuracy": 1 - eval_loss / 2})


def make_sweep(  # noqa: PLR0913  each keyword is an axis of the sweep, or a setting that one test needs
    directory: Path,
    *,
    schedulers: Sequence[str] = ("warmuplinear", "warmupcosine"),
    ratios: Sequence[float] = (0.0, 0.02, 0.1, 0.5),
    lrs: Sequence[float] = (1e-3, 3e-3),
    seeds: int = 6,
    total_steps: int = 120,
    outcome: Callable[[dict[str, Any]], Outcome | None] = usual,
    compare: dict[str, Any] | None = None,
    extra: Sequence[str] = (),
    summarised: bool = True,
) -> Path:
    """Writes the folder of a grid; `outcome` gives the result of each run, None leaves a run without a result.

    `extra`: values of one more override. `summarised=False` leaves oscillation out of `result.json`; the report
    recomputes it anyway.
    """
    jobs = [
        make_job(scheduler, ratio, lr, seed, total_steps, note)
        for scheduler in schedulers
        for lr in lrs
        for ratio in ratios
        for note in extra or [""]
        for seed in range(seeds)
    ]
    return write_sweep(directory, jobs, outcome, compare=compare, summarised=summarised)


def write_sweep(
    directory: Path,
    jobs: Sequence[Job],
    outcome: Callable[[dict[str, Any]], Outcome | None],
    *,
    compare: dict[str, Any] | None = None,
    summarised: bool = True,
) -> Path:
    """Writes the folder of a sweep of these jobs; the other arguments are those of `make_sweep`."""
    for job in {job.run_id: job for job in jobs}.values():
        found = outcome(job.strategy)
        if found is not None:
            write_run(directory / job.run_id, job, found, summarised)
    schedulers = dict.fromkeys(job.strategy["scheduler"] for job in jobs)
    listing = {
        "schema": 1,
        "study": directory.name,
        "command": "python train.py -m " + " ".join(f"scheduler={name}" for name in schedulers),
        "compare": {"metric": "eval_loss", "reference": None, "margin": 0.02} | (compare or {}),
        "jobs": [asdict(job) for job in jobs],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sweep.json").write_text(json.dumps(listing))
    return directory


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def make_job(scheduler: str, ratio: float, lr: float, seed: int, total_steps: int, note: str = "") -> Job:
    """A job with this share of warmup; `note` is one more override."""
    without_warmup = scheduler in ("constantlr", "exponentialramp")
    warmup = 0 if without_warmup else int(np.ceil(round(ratio * total_steps, 9)))
    strategy = {
        "scheduler": scheduler,
        "warmup_steps": warmup,
        "warmup_ratio": warmup / total_steps,
        "total_steps": total_steps,
        "optimizer": "adamw",
        "lr": lr,
        "seed": seed,
        "task": "synthetic",
        "model": "bert_tiny",
    }
    overrides = [f"scheduler={scheduler}", f"optimizer.lr={lr}", f"warmup_ratio={ratio}"]
    overrides += [note] if note else []
    arm = _digest(scheduler, warmup, lr, note)
    return Job(
        [*overrides, f"seed={seed}"],
        _digest(arm, seed),
        f"{scheduler}-w{warmup}-s{seed}",
        arm,
        strategy,
        None if without_warmup else f"{100 * ratio:g} %",
    )


@cache
def _multipliers(scheduler: str, warmup_steps: int, total_steps: int) -> np.ndarray:
    multiplier = make_schedule(scheduler, {}, warmup_steps=warmup_steps, total_steps=total_steps)
    return np.array([multiplier(step) for step in range(total_steps)])


def _write_trace(path: Path, loss: np.ndarray, lr: np.ndarray, overshoot: np.ndarray | None) -> None:
    """As `StepTable.write`, but from whole columns, because a sweep of 10,000 runs has 10 million rows."""
    step = np.arange(len(loss))
    columns = {
        "step": step,
        "epoch": step / 40,
        "lr": lr,
        "loss": np.where(np.isfinite(loss), loss, np.nan),
        "grad_norm": np.ones(len(loss)),
    }
    assert tuple(columns) == TRACE_COLUMNS
    if overshoot is not None:
        columns["overshoot"] = overshoot.astype(np.float64)
    pq.write_table(pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()}), path)


def write_run(directory: Path, job: Job, outcome: Outcome, summarised: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    strategy, metrics = job.strategy, dict(outcome.metrics)
    if outcome.status != "error":
        loss = learning_curve(strategy) if outcome.loss is None else outcome.loss
        multipliers = _multipliers(strategy["scheduler"], strategy["warmup_steps"], strategy["total_steps"])
        lr = strategy["lr"] * multipliers[: len(loss)]
        _write_trace(directory / "trace.parquet", loss, lr, outcome.overshoot)
        if summarised:
            metrics["oscillation"] = summarise(
                loss, lr, entropy=LN2, overshoot=outcome.overshoot, total_steps=strategy["total_steps"]
            )
    error = outcome.status == "error"
    (directory / "evals.parquet").touch()
    result = {
        "schema": 2,
        "run_id": job.run_id,
        "study": "study",
        "status": outcome.status,
        "failed_to_learn": None if error else outcome.failed_to_learn,
        "num_classes": None if error else 2,
        "label_entropy": None if error else LN2,
        "majority_accuracy": None if error else 0.5,
        "strategy": strategy,
        "metrics": metrics,
        "resumed_at": [],
        "speed": {} if error else {"seconds": 1.5, "updates_per_second": 80.0},
        "versions": {"warmup_lab": "0.1.0", "python": "3.11.2", "torch": "2.11.0"},
        "error": outcome.error,
    }
    (directory / "result.json").write_text(json.dumps(with_digests(directory, result)))
    (directory / RETRAIN).unlink(missing_ok=True)
