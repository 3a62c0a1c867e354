"""Versions that decide what a run computes."""

from __future__ import annotations

import platform

import numpy as np

import warmup_lab


def versions(device: str) -> dict[str, str]:
    """Versions of the packages, and the processor: the instruction set that torch uses, or the name of the GPU.

    Args:
        device: as torch names it, for example `cuda:0`.
    """
    import torch
    import transformers

    return {
        "warmup_lab": warmup_lab.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "processor": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else torch.backends.cpu.get_cpu_capability(),
    }
