"""A sweep's folder as one table of runs, with their traces."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from warmup_lab.comparison.failure_kinds import kind_of_failure
from warmup_lab.comparison.naming import arm_names, asked_warmups, varied_settings
from warmup_lab.comparison.run_table import UNFINISHED
from warmup_lab.config import ConfigError
from warmup_lab.metrics import summarise
from warmup_lab.runs import StoredRun, flat_metrics, is_finished, read_run
from warmup_lab.system import naming_errors

Trace = dict[str, np.ndarray]
_STRATEGY = ("scheduler", "warmup_steps", "total_steps", "lr", "seed", "task", "model", "optimizer")
_FIRST = (
    "run_id", "arm", *_STRATEGY, "warmup", "t_eff", "warmup_asked", "setting", "status", "failed_to_learn",
    "failure_kind",
)  # fmt: skip
_LAST = ("guess_loss", "guess_accuracy", "error", "seconds")
_UNREAD = ("step", "epoch", "grad_norm")
"""Columns of a trace that no report needs. It needs `lr`, `loss` and those of the probes."""
_UNFINISHED: dict[str, Any] = {
    "status": UNFINISHED,
    "error": "interrupted, or not started: it left no result",
    "metrics": {},
    "speed": {},
}


@dataclass(frozen=True)
class Sweep:
    """A sweep, read from its folder."""

    directory: Path
    """The folder."""
    jobs: list[dict[str, Any]]
    """The current job list, as in `sweep.json`."""
    compare: dict[str, Any]
    """What the sweep states before it runs: `metric`, `reference`, `margin`."""
    command: str
    """The command that started it."""
    runs: pd.DataFrame
    """One row per run; see `read_sweep`."""
    traces: dict[str, Trace]
    """`lr`, `loss` and the probes' columns of each run that has a trace, by run id."""
    versions: dict[str, str]
    """Version of each package that the runs used; several versions are separated by commas."""
    run_versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """The same of each run, by run id. Runs with equal versions share one dictionary."""


def read_sweep(directory: Path) -> Sweep:
    """The runs of the current job list; other runs in the folder are ignored.

    Oscillation is recomputed from the traces, so a better definition needs no retraining. Columns of `runs`: `run_id`,
    `arm`, `scheduler`, `warmup_steps`, `total_steps`, `lr`, `seed`, `task`, `model`, `optimizer`, `warmup`,
    `t_eff`, `warmup_asked`, `setting`, `status`, `failed_to_learn`, `train_loss`, `eval_*`, `<window>/<metric>` for
    every oscillation metric, `guess_loss` and `guess_accuracy` (of guessing), `error`, and last `seconds`, the only one
    that differs between two equal sweeps.

    Raises:
        ConfigError: there is no sweep in `directory`.
    """
    path = directory / "sweep.json"
    if not path.exists():
        what = "holds no sweep.json" if directory.is_dir() else "does not exist"
        raise ConfigError(f"{directory} {what}: name the folder of a multirun, such as runs/ten_percent")
    listing = json.loads(path.read_text(encoding="utf-8"))
    jobs = listing["jobs"]
    arms, asked, settings = arm_names(jobs), asked_warmups(jobs), varied_settings(jobs)
    rows, traces = [], {}
    rates: dict[bytes, np.ndarray] = {}
    versions: dict[str, dict[str, str]] = {}
    shared: dict[str, dict[str, str]] = {}
    for run_id, job in {job["run_id"]: job for job in jobs}.items():
        stored = read_run(directory / run_id, run_id)
        result = stored.result or _unfinished(stored)
        # A log with fewer rows than updates does not show how the loss of single updates oscillates.
        has_trace = is_finished(result["status"]) and result.get("log_every", 1) == 1
        trace = _read_trace(directory / run_id, rates) if has_trace else {}
        arm = job["arm_id"]
        rows.append({"arm": arms[arm], "warmup_asked": asked[arm], "setting": settings[arm]} | _row(job, result, trace))
        if own := _versions_of(result):
            versions[run_id] = shared.setdefault(str(own), own)
        if trace:
            traces[run_id] = trace
    found = listing["compare"], listing["command"], _table(rows), traces, _merged(shared.values()), versions
    return Sweep(directory, jobs, *found)


def _unfinished(run: StoredRun) -> dict[str, Any]:
    """What replaces the result of a run that left none, or one that may not be used."""
    if run.problem is None:
        return _UNFINISHED
    why = f"refused: the folder {run.problem}" if run.refused else f"damaged: {run.problem}"
    return _UNFINISHED | {"error": why}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table whose columns have the documented order, and the same types whatever the results are."""
    runs = pd.DataFrame(rows)
    metrics = [name for name in runs.columns if name not in (*_FIRST, *_LAST)]
    numbers = [*metrics, "t_eff", "guess_loss", "guess_accuracy", "seconds"]
    runs[numbers] = runs[numbers].astype(np.float64)
    texts = ["failure_kind", "error"]
    runs[texts] = runs[texts].astype("string")
    return runs[[*_FIRST, *metrics, *_LAST]]


def _row(job: dict[str, Any], result: dict[str, Any], trace: Trace) -> dict[str, Any]:
    guess = _guess(result)
    has_oscillation = is_finished(result["status"]) and bool(trace) and guess["guess_loss"] is not None
    return {
        "run_id": job["run_id"],
        **{name: job["strategy"][name] for name in _STRATEGY},
        "warmup": job["strategy"].get("warmup", "linear"),  # sweeps of older versions do not record it
        "t_eff": job["strategy"].get("t_eff"),
        "status": result["status"],
        "failed_to_learn": result.get("failed_to_learn") is not False,
        "failure_kind": _failure_kind(job, result, trace, guess["guess_loss"]),
        **{key: value for key, value in result["metrics"].items() if key != "oscillation"},
        **(_oscillation(trace, guess["guess_loss"], job["strategy"]["total_steps"]) if has_oscillation else {}),
        **guess,
        "error": result["error"],
        "seconds": result["speed"].get("seconds"),
    }


def _failure_kind(job: dict[str, Any], result: dict[str, Any], trace: Trace, entropy: float | None) -> str | None:
    """None unless the run finished and failed."""
    diverged = result["status"] == "diverged"
    if not is_finished(result["status"]) or not (diverged or result.get("failed_to_learn")):
        return None
    total_steps = job["strategy"]["total_steps"]
    return kind_of_failure(trace.get("loss"), diverged=diverged, entropy=entropy, total_steps=total_steps)


def _guess(result: dict[str, Any]) -> dict[str, float | None]:
    """Loss and accuracy of guessing; those of balanced classes for runs of older versions, which do not record them."""
    num_classes = result.get("num_classes")
    balanced = (math.log(num_classes), 1 / num_classes) if num_classes else (None, None)
    recorded = result.get("label_entropy"), result.get("majority_accuracy")
    loss, accuracy = (old if own is None else own for own, old in zip(recorded, balanced, strict=True))
    return {"guess_loss": loss, "guess_accuracy": accuracy}


def _oscillation(trace: Trace, entropy: float | None, total_steps: int) -> dict[str, float | None]:
    assert entropy is not None
    summary = summarise(
        trace["loss"], trace["lr"], entropy=entropy, overshoot=trace.get("overshoot"), total_steps=total_steps
    )
    return flat_metrics({"oscillation": summary})


def _read_trace(directory: Path, rates: dict[bytes, np.ndarray]) -> Trace:
    """The columns of `trace.parquet`, (updates,) each. Runs with equal learning rates share one array from `rates`."""
    path = directory / "trace.parquet"
    with naming_errors(path), pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        names = [name for name in file.schema_arrow.names if name not in _UNREAD]
        table = file.read(columns=names, use_threads=False)  # threads cost more than they save on a small file
    # Copied, because the memory that Arrow allocates for thousands of small files is never returned.
    trace = {name: table.column(name).to_numpy().copy() for name in names}
    return trace | {"lr": rates.setdefault(trace["lr"].tobytes(), trace["lr"])}


def _versions_of(result: dict[str, Any]) -> dict[str, str]:
    """Version of each package that the run used; several, if it was resumed with others, are separated by commas."""
    mixed = result.get("mixed_versions", {})
    return {name: ", ".join(mixed.get(name, [version])) for name, version in result.get("versions", {}).items()}


def _merged(versions: Iterable[dict[str, str]]) -> dict[str, str]:
    """The versions of several runs, each once, in the order in which they were found."""
    found: dict[str, dict[str, None]] = {}
    for own in versions:
        for name, text in own.items():
            found.setdefault(name, {}).update(dict.fromkeys(text.split(", ")))
    return {name: ", ".join(several) for name, several in found.items()}
