"""Runs at constant rates around a jitter lr of 0.004, with survivors that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_lab.comparison.lr_jitter.survival import FIRST_MULTIPLES, STARTS, Trial
from warmup_lab.comparison.statistics import wilson

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""A coarser grid than that of the experiment, for tests that do not depend on the grid."""


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


def trials_up_to(
    cold: Sequence[int], warmed: Sequence[int], multiples: Sequence[float] = FIRST_MULTIPLES
) -> list[Trial]:
    """Each seed survives so many of the smallest rates, cold and warmed."""
    found = []
    for rank, multiple in enumerate(multiples):
        for start, numbers in zip(STARTS, (cold, warmed), strict=True):
            survivors = tuple(seed for seed, number in enumerate(numbers) if rank < number)
            rate = wilson(len(survivors), len(numbers))
            losses = dict.fromkeys(survivors, 0.5)
            steps = 0 if start == "cold" else 20
            seeds = tuple(range(len(numbers)))
            found.append(Trial(start, multiple * 0.004, multiple, steps, rate, survivors, seeds, losses))
    return found
