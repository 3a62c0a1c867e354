"""Refuses one run where the command describes a sweep and lacks `-m`: its settings are none of the sweep's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from warmup_lab.cli.mistakes import command
from warmup_lab.config import ConfigError

_ONE_RUN_NEEDS = {"lr_jitter": ("seed",), "recommend": ("optimizer.lr", "seed")}
"""Keys that every run of these sweepers has, and that the sweeper chooses."""
_SHOW_FLAGS = {"--cfg", "-c", "--info", "-i"}
"""Flags of Hydra that print something and train nothing."""


def refuse_sweep_as_one_run(hydra_config: Any) -> None:
    """Raises `ConfigError` for an experiment or a sweeper without `-m`, unless the command says which run it wants.

    It says so by giving each key that the sweep varies, as the commands for one run do that a report prints.

    Args:
        hydra_config: The section `hydra` of a single run.
    """
    choices, params = hydra_config.runtime.choices, hydra_config.sweeper.get("params") or {}
    sweeper = choices.get("hydra/sweeper")
    if (not params and sweeper in ("basic", "grid", None)) or _SHOW_FLAGS.intersection(sys.argv):
        return
    needed = [_plain(key) for key in _ONE_RUN_NEEDS.get(sweeper, params)]
    given = {_plain(text.partition("=")[0].lstrip("+")) for text in hydra_config.overrides.task}
    missing = [key for key in needed if key not in given]
    if missing or not needed:
        experiment = choices.get("experiment")
        name = f"experiment={experiment}" if experiment else f"hydra/sweeper={sweeper}"
        typed = command(["-m", *sys.argv[1:]])
        raise ConfigError(f"{name} is a sweep and needs -m; type {typed}{_or_one_run(missing)}")


def _plain(key: Any) -> str:
    """The three keys of the length of a warmup are one choice."""
    return "warmup_ratio" if key in ("warmup_steps", "warmup_epochs") else str(key)


def _or_one_run(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
    return f"\nFor one run of it, give {listed} too"
