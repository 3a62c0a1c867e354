"""Runs at constant rates around a jitter lr of 0.004, with survivors that a test chooses."""

from __future__ import annotations

from warmup_lab.comparison.lr_jitter.survival import MULTIPLES, Trial
from warmup_lab.comparison.statistics import wilson


def trial(start: str, multiple: float, survivors: int, of: int = 5, loss: float = 0.5) -> Trial:
    seeds = tuple(range(of))
    losses = {seed: loss + 0.01 * (seed if start == "cold" else of - 1 - seed) for seed in seeds[:survivors]}
    return Trial(start, multiple * 0.004, multiple, 0 if start == "cold" else 20, wilson(survivors, of),
                 seeds[:survivors], seeds, losses)  # fmt: skip


def trials(cold: tuple[int, ...], warmed: tuple[int, ...], warmed_loss: float = 0.5) -> list[Trial]:
    """Survivors of 5 at 1/4, 1/2, 1, 2 and 4 times."""
    made = [trial("cold", multiple, count) for multiple, count in zip(MULTIPLES, cold, strict=True)]
    return made + [
        trial("warmed", multiple, count, loss=warmed_loss) for multiple, count in zip(MULTIPLES, warmed, strict=True)
    ]
