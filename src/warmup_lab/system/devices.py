"""Devices, precision, CPU cores and free memory of this machine."""

from __future__ import annotations

import os

from warmup_lab.config import ConfigError, require


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_ram() -> int:
    """Bytes of memory that programs can still allocate without swapping."""
    import psutil

    available: int = psutil.virtual_memory().available
    return available


def resolve_device(device: str) -> str:
    """Replaces `auto` with `cuda` if there is a GPU, else with `cpu`.

    Raises:
        ConfigError: the device is unknown, or this machine does not have it.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:0, mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    require(present.get(kind, False), f"device={device} is not on this machine: use device=cpu or device=auto")
    return device


def resolve_precision(precision: str, device: str) -> str:
    """Replaces `auto` with `bf16` on a GPU that supports it, else with `fp32`."""
    import torch

    if precision != "auto":
        return precision
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"
