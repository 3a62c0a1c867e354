"""CPU cores and memory that a batch system or a container allows this process: at most those of the machine."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
TASK_CPUS, TASK_MEMORY = "WARMUP_LAB_TASK_CPUS", "WARMUP_LAB_TASK_MEMORY"
"""Environment variables of a Ray task, which has no cgroup of its own: number of cores, bytes."""


def allocated_cores(environment: Mapping[str, str] = os.environ, root: Path = _CGROUPS) -> int | None:
    """The smallest of the cgroup's quota, rounded up, Slurm's `SLURM_CPUS_PER_TASK` and that of a Ray task; or None."""
    limits = [
        max(1, math.ceil(int(quota) / int(period)))
        for folder in _own_cgroups(root)
        for quota, _, period in [_text(folder / "cpu.max").partition(" ")]
        if quota.isdecimal() and period.isdecimal()
    ]
    for name in ("SLURM_CPUS_PER_TASK", TASK_CPUS):
        if (cores := environment.get(name, "")).isdecimal():
            limits.append(max(1, int(cores)))
    return min(limits, default=None)


def allocated_ram(root: Path = _CGROUPS, environment: Mapping[str, str] = os.environ) -> int | None:
    """Bytes left in the cgroup of this process, or in one above it, at most the memory of a Ray task; or None."""
    left = [
        min(int(limit), max(0, int(limit) - int(used) + _reclaimable(folder)))
        for folder in _own_cgroups(root)
        for limit, used in [(_text(folder / "memory.max"), _text(folder / "memory.current"))]
        if limit.isdecimal() and used.isdecimal()
    ]
    if (memory := environment.get(TASK_MEMORY, "")).isdecimal():
        left.append(int(memory))
    return min(left, default=None)


def _reclaimable(folder: Path) -> int:
    """Bytes of cached files that the kernel frees first. `memory.current` counts them as used, Kubernetes does not."""
    rows = (line.split() for line in _text(folder / "memory.stat").splitlines())
    return next((int(row[1]) for row in rows if row[:1] == ["inactive_file"]), 0)


def _own_cgroups(root: Path) -> list[Path]:
    """The cgroup (version 2) of this process and those above it."""
    lines = _text(Path("/proc/self/cgroup")).splitlines()
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    folder = root / own
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
