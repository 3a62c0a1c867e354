"""Devices, precision, cores and free memory of this machine."""

from __future__ import annotations

import math
import os
from pathlib import Path

from warmup_lab.config import ConfigError, require


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_device(device: str) -> str:
    """`auto` to the fastest device there is; a device that is not there raises `ConfigError`."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:0, mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    require(there.get(kind, False), f"device={device} is not on this machine: use device=cpu or device=auto")
    return device


def resolve_precision(precision: str, device: str) -> str:
    import torch

    if precision != "auto":
        return precision
    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"


def available_ram(meminfo: Path) -> float:
    """Bytes that programs may still take; without limit where the system does not say."""
    if not meminfo.exists():
        return math.inf
    found = (line.split() for line in meminfo.read_text().splitlines())
    return next((1024.0 * int(words[1]) for words in found if words[0] == "MemAvailable:"), math.inf)
