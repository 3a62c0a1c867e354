"""`result.json` of a run: its content, and how a run ends. `stored_run.py` writes and reads it."""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warmup_lab.config import ConfigError, suggestion
from warmup_lab.metrics import summarise
from warmup_lab.runs.package_versions import versions
from warmup_lab.runs.replacement import MODEL, new_path
from warmup_lab.runs.stored_run import EVALS, SCHEMA, TRACE, start_retraining, write_result

if TYPE_CHECKING:
    import torch

    from warmup_lab.plan import Plan
    from warmup_lab.runs.progress import Progress
    from warmup_lab.runs.trace import Number
    from warmup_lab.tasks import Task


def build_result(plan: Plan, task: Task, progress: Progress, status: str) -> dict[str, Any]:
    """The content of `result.json` for a run that `completed` or `diverged`; docs/architecture.md lists the keys."""
    from warmup_lab.tasks import label_entropy, majority_accuracy

    loss, lr = progress.trace.array("loss"), progress.trace.array("lr")
    overshoot = progress.trace.array("overshoot") if "overshoot" in progress.trace.columns else None
    num_classes = len(task.label_names)
    entropy = label_entropy(task.train, num_classes)
    final = progress.evals.rows()[-1] if status == "completed" else {}
    metrics: dict[str, Any] = {"train_loss": _finite(loss[_last_tenth(plan)].mean()) if len(loss) else None}
    metrics |= {f"eval_{key}": _finite(final.get(key)) for key in progress.evals.columns if key != "step"}
    metrics["oscillation"] = summarise(loss, lr, entropy=entropy, overshoot=overshoot, total_steps=plan.total_steps)
    return _header(plan, status) | {
        "failed_to_learn": failed_to_learn(loss, entropy, plan.total_steps),
        "num_classes": num_classes,
        "label_entropy": entropy,
        "majority_accuracy": majority_accuracy(task),
        "strategy": plan.strategy(),
        "metrics": metrics,
        "resumed_at": progress.resumed_at,
        "speed": {
            "seconds": round(progress.seconds, 3),
            "updates_per_second": round(progress.step / progress.seconds, 3),
        },
        "versions": versions(plan.device),
        "mixed_versions": progress.mixed_versions(),
        "error": None,
    }


def _header(plan: Plan, status: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "run_id": plan.run_id, "study": plan.config.study, "status": status}


def build_error_result(plan: Plan, error: Exception) -> dict[str, Any]:
    """The content of `result.json` for a run that ended in an error."""
    return _header(plan, "error") | {
        "failed_to_learn": None,
        "num_classes": None,
        "strategy": plan.strategy(),
        "metrics": {},
        "resumed_at": [],
        "speed": {},
        "versions": versions(plan.device),
        "mixed_versions": {},
        "error": f"{type(error).__name__}: {error}",
    }


def _last_tenth(plan: Plan) -> slice:
    return slice(-max(1, plan.total_steps // 10), None)


def _finite(value: Number) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def failed_to_learn(loss: np.ndarray, entropy: float, total_steps: int) -> bool:
    """Whether the median loss of the last 10 % of updates is at least 95 % of `entropy`, the loss of guessing (nats).

    A run that ended early (diverged) failed to learn.
    """
    tail = loss[-max(1, total_steps // 10) :]
    return not (len(loss) == total_steps and statistics.median(tail.tolist()) < 0.95 * entropy)


def write_outcome(
    plan: Plan,
    task: Task,
    model: torch.nn.Module,
    progress: Progress,
    result: dict[str, Any],
    directory: Path,
) -> dict[str, Any]:
    """Writes the files of a run; returns the content of `result.json`. It comes last: it means that the run ended."""
    from warmup_lab.runs import checkpoint

    if plan.config.save_model:
        _save_model(task, model, new_path(directory, MODEL))
    progress.trace.write(new_path(directory, TRACE))
    progress.evals.write(new_path(directory, EVALS))
    written = write_result(directory, result)
    checkpoint.remove(directory)
    return written


def reset_run(directory: Path) -> None:
    """Makes the run in `directory` start from update 0 (`force=true`). A result stays until the new one is written."""
    from warmup_lab.runs import checkpoint

    start_retraining(directory)
    checkpoint.remove(directory)


def _save_model(task: Task, model: torch.nn.Module, directory: Path) -> None:
    """The model and its tokenizer, as `AutoModelForSequenceClassification` and `AutoTokenizer` load them."""
    from transformers import AutoTokenizer, PreTrainedModel

    from warmup_lab.models import quiet_transformers

    assert isinstance(model, PreTrainedModel)
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    AutoTokenizer.from_pretrained(task.tokenizer_dir).save_pretrained(temporary)
    with quiet_transformers():
        model.save_pretrained(temporary)
    shutil.rmtree(directory, ignore_errors=True)
    temporary.rename(directory)


def summary_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of the run for W&B. A value that the history has too has the same key there, such as `eval/loss`.

    `train_runtime` and `train_steps_per_second` are names of transformers' `Trainer`.
    """
    metrics, speed = dict(result["metrics"]), result["speed"]
    summary = {key: result[key] for key in ("status", "failed_to_learn")}
    summary |= {"train_runtime": speed["seconds"], "train_steps_per_second": speed["updates_per_second"]}
    summary["train/loss_last_tenth"] = metrics.pop("train_loss")
    return summary | {_history_key(key): value for key, value in metrics.items()}


def _history_key(metric: str) -> str:
    return f"eval/{metric.removeprefix('eval_')}" if metric.startswith("eval_") else metric


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """`metrics` of `result.json` in one level: `eval_loss`, and `whole/roughness` for oscillation."""
    flat = {key: value for key, value in metrics.items() if key != "oscillation"}
    for window, values in metrics.get("oscillation", {}).items():
        flat |= {f"{window}/{name}": value for name, value in values.items()}
    return flat


def metric_of(result: Mapping[str, Any], name: str) -> float | None:
    """The metric `name` of a result: `eval_loss`, `early/roughness`, or `roughness` for the whole run.

    None if the run has no value, for example because it diverged.

    Raises:
        ConfigError: no metric has this name.
    """
    flat = flat_metrics(result["metrics"])
    key = name if name in flat else f"whole/{name}"
    if flat and key not in flat:
        raise ConfigError(f"unknown metric {name!r}{suggestion(name, flat)}")
    return flat.get(key)
