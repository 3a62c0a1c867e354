"""Every random stream of the package. Each is a pure function of seeds and indices."""

from __future__ import annotations

import hashlib

import torch


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
