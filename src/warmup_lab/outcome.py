"""What one run leaves: its record, `result.json`, and the rows that Weights & Biases is shown."""

from __future__ import annotations

import math
import platform
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import warmup_lab
from warmup_lab import checkpoint
from warmup_lab.checkpoint import Progress
from warmup_lab.files import write_json
from warmup_lab.models import quiet_transformers
from warmup_lab.oscillation import summarise
from warmup_lab.plan import Plan
from warmup_lab.tasks import Task, label_entropy
from warmup_lab.trace import EVAL_COLUMNS, TRACE_COLUMNS, Number, Record


def fresh_progress(plan: Plan, probe_columns: Sequence[str] = ()) -> Progress:
    """Nothing done yet; `probe_columns` are what the run's probes add to the trace."""
    own_metric = () if plan.config.task.metric == "accuracy" else (plan.config.task.metric,)
    return Progress(
        trace=Record((*TRACE_COLUMNS, *probe_columns)),
        evals=Record((*EVAL_COLUMNS, *own_metric)),
    )


def build_result(plan: Plan, task: Task, progress: Progress, status: str) -> dict[str, Any]:
    loss, lr = progress.trace.array("loss"), progress.trace.array("lr")
    overshoot = progress.trace.array("overshoot") if "overshoot" in progress.trace.columns else None
    num_classes = len(task.label_names)
    final = progress.evals.rows()[-1] if status == "completed" else {}
    metrics: dict[str, Any] = {"train_loss": _finite(loss[_last_tenth(plan)].mean()) if len(loss) else None}
    metrics |= {f"eval_{key}": _finite(final.get(key)) for key in progress.evals.columns if key != "step"}
    metrics["oscillation"] = summarise(
        loss, lr, num_classes=num_classes, overshoot=overshoot, total_steps=plan.total_steps
    )
    return _header(plan, status) | {
        "failed_to_learn": failed_to_learn(loss, label_entropy(task.train, num_classes), plan.total_steps),
        "num_classes": num_classes,
        "strategy": plan.strategy(),
        "metrics": metrics,
        "resumed_at": progress.resumed_at,
        "speed": {
            "seconds": round(progress.seconds, 3),
            "updates_per_second": round(progress.step / progress.seconds, 3),
        },
        "versions": versions(),
        "error": None,
    }


def _header(plan: Plan, status: str) -> dict[str, Any]:
    return {"schema": 1, "run_id": plan.run_id, "study": plan.config.study, "status": status}


def build_error_result(plan: Plan, error: Exception) -> dict[str, Any]:
    return _header(plan, "error") | {
        "failed_to_learn": None,
        "num_classes": None,
        "strategy": plan.strategy(),
        "metrics": {},
        "resumed_at": [],
        "speed": {},
        "versions": versions(),
        "error": f"{type(error).__name__}: {error}",
    }


def _last_tenth(plan: Plan) -> slice:
    return slice(-max(1, plan.total_steps // 10), None)


def _finite(value: Number) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def failed_to_learn(loss: np.ndarray, entropy: float, total_steps: int) -> bool:
    """Whether the median training loss of the last 10 % of updates is not below 95 % of the label entropy (nats).

    A run that diverged did not learn.
    """
    tail = loss[-max(1, total_steps // 10) :]
    return not (len(loss) == total_steps and statistics.median(tail.tolist()) < 0.95 * entropy)


def versions() -> dict[str, str]:
    import transformers

    return {
        "warmup_lab": warmup_lab.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def write_outcome(
    plan: Plan,
    task: Task,
    model: torch.nn.Module,
    progress: Progress,
    result: dict[str, Any],
    directory: Path,
) -> None:
    """The run's files; `result.json` last, since its being there says that the run is finished."""
    progress.trace.write(directory / "trace.parquet")
    progress.evals.write(directory / "evals.parquet")
    if plan.config.save_model:
        _save_model(task, model, directory / "model")
    write_json(directory / "result.json", result)
    checkpoint.remove(directory)


def _save_model(task: Task, model: torch.nn.Module, directory: Path) -> None:
    """The model and its tokenizer, as `AutoModelForSequenceClassification` and `AutoTokenizer` load them."""
    from transformers import AutoTokenizer, PreTrainedModel

    assert isinstance(model, PreTrainedModel)
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    AutoTokenizer.from_pretrained(task.tokenizer_dir).save_pretrained(temporary)
    with quiet_transformers():
        model.save_pretrained(temporary)
    shutil.rmtree(directory, ignore_errors=True)
    temporary.rename(directory)


def eval_row(step: int, scores: Mapping[str, Number]) -> dict[str, Number]:
    """An evaluation after `step` updates as a row of history: it stands at the last update it saw."""
    return {"step": step - 1} | {f"eval/{key}": value for key, value in scores.items()}


def history_of(progress: Progress) -> list[dict[str, Number]]:
    """What a resumed run had shown so far, in the order in which it came."""
    rows = progress.trace.rows()
    for scores in progress.evals.rows():
        step = int(scores.pop("step") or 0)
        rows.append(eval_row(step, scores))
    return sorted(rows, key=lambda row: int(row["step"] or 0))  # stable: an update before its evaluation


def summary_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What W&B shows of the run as a whole."""
    return {key: result[key] for key in ("status", "failed_to_learn")} | dict(result["metrics"])
