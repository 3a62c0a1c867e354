"""Reading what runs left: is one finished, what did it come to, and a sweep as one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from warmup_lab.oscillation import roughness_at_matched_loss, summarise
from warmup_lab.schema import ConfigError, suggestion

FINISHED = ("completed", "diverged")
"""Status of a run that the same command need not train again: divergence is a result."""


def read_result(directory: Path) -> dict[str, Any] | None:
    """What `result.json` of the run in `directory` holds; None where there is none."""
    path = directory / "result.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """`metrics` of `result.json` in one level: `eval_loss`, and `whole/roughness` for oscillation."""
    flat = {key: value for key, value in metrics.items() if key != "oscillation"}
    for window, values in metrics.get("oscillation", {}).items():
        flat |= {f"{window}/{name}": value for name, value in values.items()}
    return flat


def metric_of(result: Mapping[str, Any], name: str) -> float | None:
    """The metric `name` of a result: `eval_loss`, `early/roughness`, or `roughness` for the whole run.

    None where the run did not come to one, as when it diverged. Unknown names raise `ConfigError`.
    """
    flat = flat_metrics(result["metrics"])
    key = name if name in flat else f"whole/{name}"
    if flat and key not in flat:
        raise ConfigError(f"unknown metric {name!r}{suggestion(name, flat)}")
    return flat.get(key)


# ------------------------------------------------------------------------------------------ a sweep's table

Trace = dict[str, np.ndarray]
_STRATEGY = ("scheduler", "warmup_steps", "total_steps", "lr", "seed", "task", "model", "optimizer")
_FIRST = ("run_id", "arm", *_STRATEGY, "warmup_asked", "setting", "status", "failed_to_learn")
_LAST = ("error", "seconds")


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder tells it."""

    directory: Path
    """Where it lies."""
    jobs: list[dict[str, Any]]
    """The current job list, as in `sweep.json`."""
    compare: dict[str, Any]
    """What it states beforehand: `metric`, `reference`, `margin`."""
    command: str
    """The command that made it."""
    runs: pd.DataFrame
    """A row a run; see `read_sweep`."""
    traces: dict[str, Trace]
    """`lr`, `loss` and, where it was probed, `overshoot` of each run that has a trace, by run id."""
    versions: dict[str, str]
    """What the runs were made with; several versions of one package stand side by side."""


def read_sweep(directory: Path) -> Sweep:
    """The runs of the current job list, whatever else lies in the folder.

    Oscillation is recomputed from the traces, so a better definition needs no retraining. Columns of `runs`: `run_id`,
    `arm`, `scheduler`, `warmup_steps`, `total_steps`, `lr`, `seed`, `task`, `model`, `optimizer`, `warmup_asked`,
    `setting`, `status`, `failed_to_learn`, `train_loss`, `eval_*`, `<window>/<metric>` for every oscillation metric,
    `matched/roughness`, `error`, and at the end `seconds`, the only one that differs between two same sweeps.

    Raises:
        ConfigError: no sweep lies in `directory`.
    """
    path = directory / "sweep.json"
    if not path.exists():
        raise ConfigError(f"{directory} holds no sweep.json: name the folder of a multirun, such as runs/ten_percent")
    listing = json.loads(path.read_text(encoding="utf-8"))
    jobs = listing["jobs"]
    arms, asked, settings = arm_names(jobs), _asked(jobs), _settings(jobs)
    rows, traces, results = [], {}, []
    for run_id, job in {job["run_id"]: job for job in jobs}.items():
        result, trace = read_result(directory / run_id) or _UNFINISHED, _read_trace(directory / run_id)
        arm = job["arm_id"]
        rows.append({"arm": arms[arm], "warmup_asked": asked[arm], "setting": settings[arm]} | _row(job, result, trace))
        results.append(result)
        if trace:
            traces[run_id] = trace
    return Sweep(directory, jobs, listing["compare"], listing["command"], _table(rows), traces, _versions(results))


_UNFINISHED: dict[str, Any] = {
    "status": "error",
    "error": "interrupted, or not started: it left no result",
    "metrics": {},
    "speed": {},
}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows with their columns in the promised order, and of the same type whatever the runs came to."""
    runs = pd.DataFrame(rows)
    metrics = [name for name in runs.columns if name not in (*_FIRST, *_LAST)]
    numbers = [*metrics, "seconds"]
    runs[numbers] = runs[numbers].astype(np.float64)
    runs["error"] = runs["error"].astype("string")
    return runs[[*_FIRST, *metrics, *_LAST]]


def _versions(results: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for name, version in result.get("versions", {}).items():
            found.setdefault(name, {})[version] = None
    return {name: ", ".join(values) for name, values in found.items()}


def arm_names(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """A name for each arm: schedule and updates of warmup, the ratios asked for, and what else tells arms apart.

    Such as `warmuplinear-w36 (10 %)` or `warmuplinear-w0 (0 %) lr=0.003`.
    """
    by_arm = {job["arm_id"]: job for job in jobs}
    several_rates = len({job["strategy"]["lr"] for job in jobs}) > 1
    asked, settings = _asked(jobs), _settings(jobs)
    names: dict[str, str] = {}
    for arm_id, job in by_arm.items():
        strategy = job["strategy"]
        parts = [f"{strategy['scheduler']}-w{strategy['warmup_steps']}"]
        parts += [f"({asked[arm_id]})"] if asked[arm_id] else []
        parts += [f"lr={strategy['lr']:g}"] if several_rates else []
        parts += [settings[arm_id]] if settings[arm_id] else []
        name = " ".join(parts)
        names[arm_id] = f"{name} {arm_id}" if name in names.values() else name
    return names


def _asked(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """Every way in which each arm's warmup was asked for, such as `2 %, 5 %` where both come to one update."""
    asked: dict[str, dict[str, None]] = {}
    for job in jobs:
        asked.setdefault(job["arm_id"], {})[job["asked"] or ""] = None
    return {arm: ", ".join(filter(None, ways)) for arm, ways in asked.items()}


_TOLD_OTHERWISE = ("seed", "scheduler", "warmup_ratio", "warmup_steps", "warmup_epochs", "optimizer.lr")


def _settings(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """The overrides of each arm that vary over the sweep and that neither schedule, warmup nor lr tell."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for override in job["overrides"]:
            key, _, value = override.lstrip("+").partition("=")
            values.setdefault(key, set()).add(value)
    varying = {key for key, found in values.items() if len(found) > 1} - set(_TOLD_OTHERWISE)
    return {
        job["arm_id"]: " ".join(text for text in job["overrides"] if text.lstrip("+").partition("=")[0] in varying)
        for job in jobs
    }


def _read_trace(directory: Path) -> Trace:
    path = directory / "trace.parquet"
    if not path.is_file():
        return {}
    with pq.ParquetFile(path) as file:
        names = [name for name in ("lr", "loss", "overshoot") if name in file.schema_arrow.names]
        table = file.read(columns=names)
    return {name: table.column(name).to_numpy() for name in names}


def _row(job: dict[str, Any], result: dict[str, Any], trace: Trace) -> dict[str, Any]:
    finished = result["status"] in FINISHED and bool(trace)
    return {
        "run_id": job["run_id"],
        **{name: job["strategy"][name] for name in _STRATEGY},
        "status": result["status"],
        "failed_to_learn": result.get("failed_to_learn") is not False,
        **{key: value for key, value in result["metrics"].items() if key != "oscillation"},
        **(_oscillation(trace, result["num_classes"], job["strategy"]["total_steps"]) if finished else {}),
        "error": result["error"],
        "seconds": result["speed"].get("seconds"),
    }


def _oscillation(trace: Trace, num_classes: int, total_steps: int) -> dict[str, float | None]:
    loss = trace["loss"]
    summary = summarise(
        loss, trace["lr"], num_classes=num_classes, overshoot=trace.get("overshoot"), total_steps=total_steps
    )
    matched = roughness_at_matched_loss(loss, num_classes=num_classes)
    return {**flat_metrics({"oscillation": summary}), "matched/roughness": matched}
