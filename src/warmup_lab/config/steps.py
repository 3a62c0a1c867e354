"""Update arithmetic: updates per epoch and updates of warmup."""

from __future__ import annotations

import math

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import RunConfig

DEFAULT_WARMUP_RATIO = 0.1
"""Warmup as a share of all updates if no warmup key is set, as in BERT."""


def num_steps_per_epoch(num_examples: int, batch_size: int, grad_accumulation: int = 1) -> int:
    """Optimizer updates per epoch. An update never spans two epochs, and the last batch may be smaller."""
    return math.ceil(math.ceil(num_examples / batch_size) / grad_accumulation)


def ceil_share(share: float, total: float) -> int:
    """`ceil(share * total)` without float noise: 0.07 * 100 is 7.000000000000001 and gives 7.

    >>> ceil_share(0.07, 100), ceil_share(0.1, 71), ceil_share(0.1, 3600)
    (7, 8, 360)
    """
    product = share * total
    nearest = round(product)
    return nearest if math.isclose(product, nearest, rel_tol=1e-9) else math.ceil(product)


def num_warmup_steps(config: RunConfig, *, steps_per_epoch: int, total_steps: int) -> int:
    """Warmup updates that `warmup_steps`, `warmup_epochs` or `warmup_ratio` describe; 10 % of all if none is set.

    Raises:
        ConfigError: the warmup is longer than the run.
    """
    if config.warmup_steps is not None:
        setting, steps = f"warmup_steps={config.warmup_steps}", config.warmup_steps
    elif config.warmup_epochs is not None:
        setting = f"warmup_epochs={config.warmup_epochs}"
        steps = ceil_share(config.warmup_epochs, steps_per_epoch)
    else:
        ratio = DEFAULT_WARMUP_RATIO if config.warmup_ratio is None else config.warmup_ratio
        setting, steps = f"warmup_ratio={ratio}", ceil_share(ratio, total_steps)
    if steps > total_steps:
        raise ConfigError(f"{setting} is a warmup of {steps} updates, but the run has {total_steps} in all")
    return steps
