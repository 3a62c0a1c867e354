"""The keys of `hydra/launcher=slurm`, and the options of `sbatch` that they stand for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from warmup_lab.config import require

_TEXTS = ("partition", "account", "qos", "constraint", "gres")
_PLAIN = re.compile(r"[\w.,:=+\-/*@%\[\]&|()]+")


@dataclass(frozen=True)
class SlurmOptions:
    """Keys of `hydra.launcher`; `hydra_plugins/warmup_lab_launcher.py` documents them."""

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gres: str | None
    gpus: int
    cpus: int
    memory_gb: float | None
    minutes: int
    save_seconds: int
    max_running: int
    runs_per_task: int
    stacked: bool
    device: str
    precision: str
    max_requeues: int
    max_resubmits: int
    poll_seconds: float
    cancel_on_interrupt: bool


def submission_parameters(options: SlurmOptions, name: str) -> dict[str, Any]:
    """Arguments for `submitit.SlurmExecutor.update_parameters`.

    Raises:
        ConfigError: a value is out of range, or holds characters that a line of a batch script may not have.
    """
    for key in _TEXTS:
        text = getattr(options, key)
        require(
            text is None or bool(_PLAIN.fullmatch(text)), f"hydra.launcher.{key}={text!r}: no spaces, quotes or lines"
        )
    for key in ("cpus", "minutes", "max_running", "runs_per_task", "poll_seconds", "save_seconds"):
        require(getattr(options, key) > 0, f"hydra.launcher.{key}={getattr(options, key)}: must be above 0")
    for key in ("gpus", "max_requeues", "max_resubmits"):
        require(getattr(options, key) >= 0, f"hydra.launcher.{key}={getattr(options, key)}: must be 0 or more")
    memory = options.memory_gb
    require(
        memory is None or 0 < memory < math.inf,
        f"hydra.launcher.memory_gb={memory}: must be above 0, or null for the cluster's default",
    )
    require(
        options.save_seconds < 60 * options.minutes,
        f"hydra.launcher.save_seconds={options.save_seconds}: must be shorter than the time limit, which is "
        f"hydra.launcher.minutes={options.minutes}; otherwise each task would be stopped at its start",
    )
    found: dict[str, Any] = {key: getattr(options, key) for key in _TEXTS if getattr(options, key) is not None}
    if options.gpus:
        found["gpus_per_node"] = options.gpus
    if memory is not None:
        found["mem"] = f"{max(1, round(memory * 1024))}MB"
    return found | {
        "job_name": re.sub(r"[^\w.\-]", "_", name),
        "time": options.minutes,
        "cpus_per_task": options.cpus,
        "signal_delay_s": options.save_seconds,
        "array_parallelism": options.max_running,
        "additional_parameters": {"requeue": True},
    }
