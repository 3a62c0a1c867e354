"""CPU cores and memory that a batch system or a container allows this process: at most those of the machine."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def allocated_cores(environment: Mapping[str, str] = os.environ, root: Path = _CGROUPS) -> int | None:
    """The smaller of Slurm's `SLURM_CPUS_PER_TASK` and the cgroup's quota, rounded up; None without either."""
    limits = [
        max(1, math.ceil(int(quota) / int(period)))
        for folder in _own_cgroups(root)
        for quota, _, period in [_text(folder / "cpu.max").partition(" ")]
        if quota.isdecimal() and period.isdecimal()
    ]
    if (cores := environment.get("SLURM_CPUS_PER_TASK", "")).isdecimal():
        limits.append(max(1, int(cores)))
    return min(limits, default=None)


def allocated_ram(root: Path = _CGROUPS) -> int | None:
    """Bytes left in the cgroup of this process, or in one above it; None without a limit."""
    left = [
        min(int(limit), max(0, int(limit) - int(used) + _reclaimable(folder)))
        for folder in _own_cgroups(root)
        for limit, used in [(_text(folder / "memory.max"), _text(folder / "memory.current"))]
        if limit.isdecimal() and used.isdecimal()
    ]
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
