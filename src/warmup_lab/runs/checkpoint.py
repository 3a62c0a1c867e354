"""Checkpoints of unfinished runs.

A checkpoint is one file, replaced atomically: weights, optimizer state, number of updates made, trace and evaluations.
Data order and dropout masks need no state. They depend only on the seed and the number of updates (see
`system/seeding.py`), so a resumed run draws the same random numbers as an uninterrupted one.
"""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from warmup_lab.runs.progress import Progress
from warmup_lab.runs.trace import StepTable
from warmup_lab.system import atomic_path

log = logging.getLogger(__name__)
_SCHEMA = 1


def checkpoint_path(directory: Path) -> Path:
    return directory / "checkpoint" / "state.pt"


def save(
    directory: Path, run_id: str, progress: Progress, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    state = {
        "schema": _SCHEMA,
        "run_id": run_id,
        "step": progress.step,
        "trace": progress.trace.to_lists(),
        "evals": progress.evals.to_lists(),
        "resumed_at": progress.resumed_at,
        "seconds": progress.seconds,
        "probe_memory": progress.probe_memory,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_path(checkpoint_path(directory)) as temporary:
        torch.save(state, temporary)


def restore(directory: Path, run_id: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress | None:
    """Loads weights and optimizer state from the checkpoint.

    Returns the progress, or None without a usable checkpoint.
    """
    state = _read(directory, run_id)
    if state is None:
        return None
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(
        step=state["step"],
        trace=StepTable.from_lists(state["trace"]),
        evals=StepTable.from_lists(state["evals"]),
        resumed_at=[*state["resumed_at"], state["step"]],
        seconds=state["seconds"],
        probe_memory=state.get("probe_memory", {}),
    )


def step_of(directory: Path, run_id: str) -> int:
    """Number of updates made at the checkpoint of this run; 0 without a usable checkpoint."""
    state = _read(directory, run_id)
    return int(state["step"]) if state else 0


def _read(directory: Path, run_id: str) -> dict[str, Any] | None:
    """The content of the checkpoint, or None. `weights_only=True` refuses pickled objects other than plain data."""
    path = checkpoint_path(directory)
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        usable = state["schema"] == _SCHEMA and state["run_id"] == run_id
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s); the run starts from update 0", path, str(error).splitlines()[0])
        return None
    if not usable:
        log.warning("%s belongs to another run; this run starts from update 0", path)
        return None
    return state


def remove(directory: Path) -> None:
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)
