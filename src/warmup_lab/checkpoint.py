"""Saving an unfinished run and taking it up again.

A checkpoint is one file, replaced atomically: weights, optimizer, the number of updates made, trace and evaluations.
Data order and dropout need no state of their own: both are pure functions of the seed and of that number (see
`tasks.batch_indices` and `update_seed`), so a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from warmup_lab.files import atomic_path
from warmup_lab.trace import EVAL_COLUMNS, TRACE_COLUMNS, Record

log = logging.getLogger(__name__)
_SCHEMA = 1


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    """Updates made."""
    trace: Record = field(default_factory=lambda: Record(TRACE_COLUMNS))
    """One row an update."""
    evals: Record = field(default_factory=lambda: Record(EVAL_COLUMNS))
    """One row an evaluation."""
    resumed_at: list[int] = field(default_factory=list)
    """Updates at which the run was taken up again."""
    seconds: float = 0.0
    """Time spent training."""
    probe_memory: dict[str, Any] = field(default_factory=dict)
    """What the probes carry from one measurement to the next."""


def update_seed(seed: int, step: int) -> int:
    """Seed of everything random inside one update, such as dropout: a pure function of run seed and update.

    So strategies at one seed drop the same units at the same update, and no probe can shift the draws after it.
    """
    return int.from_bytes(hashlib.sha256(f"update/{seed}/{step}".encode()).digest()[:8], "big") >> 1


def reseed(seed: int, device: str) -> None:
    """Sets what dropout draws from on this device.

    `torch.manual_seed` seeds every kind of device there is. For those without a driver it writes down the whole stack
    at each call, half a millisecond, to be replayed should the driver appear.
    """
    torch.default_generator.manual_seed(seed)
    kind, _, index = device.partition(":")
    if kind == "cuda":
        torch.cuda.default_generators[int(index or torch.cuda.current_device())].manual_seed(seed)
    elif kind == "mps":
        torch.mps.manual_seed(seed)


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
    """The progress of this run, its weights and optimizer state put back; None where there is nothing usable."""
    state = _read(directory, run_id)
    if state is None:
        return None
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(
        step=state["step"],
        trace=Record.from_lists(state["trace"]),
        evals=Record.from_lists(state["evals"]),
        resumed_at=[*state["resumed_at"], state["step"]],
        seconds=state["seconds"],
        probe_memory=state.get("probe_memory", {}),
    )


def step_of(directory: Path, run_id: str) -> int:
    """Updates that this run's checkpoint has behind it; 0 where there is nothing usable."""
    state = _read(directory, run_id)
    return int(state["step"]) if state else 0


def _read(directory: Path, run_id: str) -> dict[str, Any] | None:
    """`weights_only=True` refuses every pickled object that is not plain data."""
    path = checkpoint_path(directory)
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        usable = state["schema"] == _SCHEMA and state["run_id"] == run_id
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): the run starts anew", path, str(error).splitlines()[0])
        return None
    if not usable:
        log.warning("%s belongs to another run: this one starts anew", path)
        return None
    return state


def remove(directory: Path) -> None:
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)
