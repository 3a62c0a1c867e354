"""Checkpoints of unfinished runs.

A checkpoint is one file: weights, optimizer state, number of updates made, trace and evaluations. Data order and
dropout masks need no state. They depend only on the seed and the number of updates (see `system/seeding.py`), so a
resumed run draws the same random numbers as an uninterrupted one.

The name of a checkpoint, `state-<updates>-<digest>.pt`, has the first 16 hex digits of the SHA-256 of its content. So
one rename puts the content and its digest in place. The two latest checkpoints are kept. One that cannot be used is set
aside, and the run resumes from the one before it, or starts again.
"""

from __future__ import annotations

import copy
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from warmup_lab.runs.progress import Progress
from warmup_lab.runs.replacement import CHECKPOINT
from warmup_lab.runs.trace import StepTable
from warmup_lab.system import file_digest, naming_errors, set_aside, shown_path, sync_file, sync_folder, temporary_path

log = logging.getLogger(__name__)
T = TypeVar("T")
_SCHEMA = 2
_KEPT = 2
_NAME = re.compile(r"state-(\d+)-([0-9a-f]{16})\.pt")
_UNVERIFIED = "state.pt"
"""Name of the checkpoints of versions without digests."""


class _Unusable(Exception):
    """Why a checkpoint cannot be used."""


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints of the run in `directory`, the latest first. Nothing is read."""
    found = [(int(match[1]), path) for path in _folder(directory).glob("*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def save(
    directory: Path, run_id: str, progress: Progress, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Writes a checkpoint to the disk, then removes all but the one before it."""
    state = {
        "schema": _SCHEMA,
        "run_id": run_id,
        "step": progress.step,
        "trace": progress.trace.to_lists(),
        "evals": progress.evals.to_lists(),
        "resumed_at": progress.resumed_at,
        "seconds": progress.seconds,
        "probe_memory": progress.probe_memory,
        "versions": progress.versions,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    folder = _folder(directory)
    with temporary_path(folder / "state.pt") as temporary:
        with temporary.open("wb") as file:  # given a path, torch would hide that the disk is full
            torch.save(state, file)
        sync_file(temporary)
        saved = temporary.replace(folder / f"state-{progress.step:07d}-{file_digest(temporary)[:16]}.pt")
    sync_folder(folder)
    earlier = [path for path in checkpoints(directory) if path != saved]
    for path in earlier[_KEPT - 1 :]:
        path.unlink(missing_ok=True)


def restore(
    directory: Path, run_id: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer, fresh: Progress
) -> Progress | None:
    """Loads weights and optimizer state from the latest checkpoint that can be used.

    Args:
        directory: the folder of the run.
        run_id: its id.
        model: at update 0. Unchanged if there is no usable checkpoint, as the optimizer.
        optimizer: of the model.
        fresh: the progress at update 0, whose tables have the columns that the run needs.

    Returns:
        The progress, or None without a usable checkpoint.
    """

    def load(path: Path) -> Progress:
        state = _read(path, run_id)
        progress = _progress(state)
        if (progress.trace.columns, progress.evals.columns) != (fresh.trace.columns, fresh.evals.columns):
            raise _Unusable("has other columns than this run")
        _load(state, model, optimizer)
        return progress

    return _first_usable(directory, load)


def step_of(directory: Path, run_id: str) -> int:
    """Number of updates made at the latest checkpoint of this run that can be read; 0 without one."""
    return _first_usable(directory, lambda path: int(_read(path, run_id)["step"])) or 0


def remove(directory: Path) -> None:
    """Removes all checkpoints of the run."""
    folder = _folder(directory)
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)


def _folder(directory: Path) -> Path:
    return directory / CHECKPOINT


def _first_usable(directory: Path, load: Callable[[Path], T]) -> T | None:
    """What `load` gives for the latest checkpoint that it can use. Those that it cannot use are set aside."""
    folder, bad = _folder(directory), []
    if folder.exists() and not folder.is_dir():
        bad.append((folder, "is not a folder"))
    if (folder / _UNVERIFIED).exists():
        bad.append((folder / _UNVERIFIED, "has no digest, so it cannot be verified"))
    loaded = None
    for path in checkpoints(directory):
        try:
            loaded = load(path)
            break
        except _Unusable as error:
            bad.append((path, str(error)))
    then = f"resumes from {path.name}" if loaded is not None else "starts from update 0"
    for unusable, reason in bad:
        log.warning("%s %s: set aside as %s; the run %s", shown_path(unusable), reason, set_aside(unusable).name, then)
    return loaded


def _read(path: Path, run_id: str) -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        _Unusable: it is damaged, or that of another run.
        OSError: it cannot be read, for example because of its permissions. That does not count as damage.
    """
    if not path.is_file():
        raise _Unusable("is not a file")
    digest = _NAME.fullmatch(path.name)
    if digest is None or not file_digest(path).startswith(digest[2]):
        raise _Unusable("is damaged: its content does not match the digest in its name")
    try:
        with naming_errors(path):
            # `weights_only` refuses pickled objects, which could run code.
            state = torch.load(path, map_location="cpu", weights_only=True)
        usable = state["schema"] == _SCHEMA and state["run_id"] == run_id
    except Exception as error:
        raise _unusable(error, "is not a checkpoint: it may hold only tensors, numbers and texts") from None
    if not usable:
        raise _Unusable("belongs to another run or another version")
    return dict(state)


def _progress(state: dict[str, Any]) -> Progress:
    try:
        progress = Progress(
            step=state["step"],
            trace=StepTable.from_lists(state["trace"]),
            evals=StepTable.from_lists(state["evals"]),
            resumed_at=[*state["resumed_at"], state["step"]],
            seconds=state["seconds"],
            probe_memory=state["probe_memory"],
            versions=state["versions"],
        )
        complete = len(progress.trace) == progress.step
    except Exception as error:
        lacks = f"lacks {error}" if isinstance(error, KeyError) else "has a trace of another form than this run"
        raise _unusable(error, lacks) from None
    if not complete:
        raise _Unusable(f"has {len(progress.trace)} rows of the trace for {progress.step} updates")
    return progress


def _load(state: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Loads both or neither."""
    own, at_start = model.state_dict(), copy.deepcopy(optimizer.state_dict())
    try:
        if {name: one.shape for name, one in state["model"].items()} != {name: one.shape for name, one in own.items()}:
            raise _Unusable("has weights of other shapes than this model")
        optimizer.load_state_dict(state["optimizer"])
        model.load_state_dict(state["model"])
    except _Unusable:
        raise
    except Exception as error:
        optimizer.load_state_dict(at_start)
        raise _unusable(error, "has weights or optimizer state of another form than this run") from None


def _unusable(error: Exception, reason: str) -> Exception:
    """`_Unusable`, unless the machine failed: a lack of memory or a disk error is no fault of the checkpoint."""
    of_the_machine = (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or (isinstance(error, OSError) and error.errno is not None)
        or "DefaultCPUAllocator" in str(error)
    )
    return error if of_the_machine else _Unusable(reason)
