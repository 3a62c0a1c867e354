"""Devices, precision, CPU cores and free memory of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from warmup_lab.config import ConfigError, require
from warmup_lab.system.allocation import allocated_cores, allocated_ram

_workers: ContextVar[tuple[str, str] | None] = ContextVar("workers", default=None)
"""Device and precision of the workers, while runs are planned for workers on other machines."""


def available_cores() -> int:
    """Number of CPU cores that this process may use: its affinity, the quota of its cgroup, and Slurm's allocation."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, allocated_cores() or cores)


def available_ram() -> int:
    """Bytes of memory that this process can still allocate without swapping, within its cgroup."""
    import psutil

    available: int = psutil.virtual_memory().available
    allocated = allocated_ram()
    return available if allocated is None else min(available, allocated)


@contextmanager
def planned_for(device: str, precision: str) -> Iterator[None]:
    """Inside the block, runs are planned for workers with this device, which this machine may lack.

    Args:
        device: what `device=auto` means on the workers; `auto` is what it means here.
        precision: what `precision=auto` means there; `auto` is bf16 on a GPU and fp32 elsewhere.
    """
    if device == "auto":
        device = resolve_device("auto")
        precision = resolve_precision(precision, device)
    elif precision == "auto":
        precision = "bf16" if device.startswith("cuda") else "fp32"
    token = _workers.set((device, precision))
    try:
        yield
    finally:
        _workers.reset(token)


def resolve_device(device: str) -> str:
    """Replaces `auto` with `cuda` if there is a GPU, else with `cpu`.

    Raises:
        ConfigError: the device is unknown, or this machine (with `planned_for`: the workers) does not have it.
    """
    import torch

    workers = _workers.get()
    if workers and device in ("auto", workers[0]):
        return workers[0]
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:0, mps") from None
    if workers:  # every worker has a CPU, and with a GPU `cuda:0` too
        same = device == "cpu" or kind == torch.device(workers[0]).type
        require(same, f"device={device}: the workers have {workers[0]} (hydra.launcher.device)")
        return device
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    require(present.get(kind, False), f"device={device} is not on this machine: use device=cpu or device=auto")
    return device


def resolve_precision(precision: str, device: str) -> str:
    """Replaces `auto` with `bf16` on a GPU that supports it, else with `fp32`."""
    import torch

    if precision != "auto":
        return precision
    if workers := _workers.get():
        return workers[1] if device == workers[0] else "bf16" if device.startswith("cuda") else "fp32"
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"
