"""Names in W&B: the metrics of a run as transformers' `Trainer` calls them, and the run's display name.

Runs of this project and of a `Trainer` share panels: the names are equal, and so is the axis `train/global_step`, the
number of updates made.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from warmup_lab.config import SchedulerConfig

Row = Mapping[str, float | int | None]

GLOBAL_STEP = "train/global_step"
_TRAINER_NAMES = {"loss": "train/loss", "lr": "train/learning_rate", "grad_norm": "train/grad_norm"}

MAX_NAME_LENGTH, MAX_TAG_LENGTH = 128, 64
"""Characters that W&B accepts."""
_IN_EVERY_NAME = {
    "seed", "scheduler", "warmup_ratio", "warmup_steps", "warmup_epochs", "optimizer.lr",
    *(f"scheduler.{item.name}" for item in fields(SchedulerConfig) if item.name not in ("name", "options")),
}  # fmt: skip
"""Keys that `Plan.name` shows."""
_WITHOUT_EFFECT = {
    "tracking", "probe", "compare", "hydra", "study", "output", "force", "objective", "checkpoint_every", "eval_every",
    "save_model", "device", "num_threads",
}  # fmt: skip
"""Keys and sections that do not change what is learned."""
_SEVERAL_VALUES = re.compile(r"=.*[,(]")


def history_row(row: Row, steps_per_epoch: int | None) -> dict[str, float | int | None]:
    """A row of the trace, or an evaluation, with the names of W&B. `step` is the 0-based index of the update.

    >>> history_row({"step": 4, "epoch": 0.4, "lr": 0.001, "loss": 0.7}, steps_per_epoch=10)
    {'train/learning_rate': 0.001, 'train/loss': 0.7, 'train/global_step': 5, 'train/epoch': 0.5}
    >>> history_row({"step": 4, "sharpness": 2.0, "eval/loss": 0.6}, steps_per_epoch=None)
    {'probe/sharpness': 2.0, 'eval/loss': 0.6, 'train/global_step': 5}
    """
    made = int(row["step"] or 0) + 1
    values = {_history_name(key): value for key, value in row.items() if key not in ("step", "epoch")}
    epoch = {"train/epoch": made / steps_per_epoch} if steps_per_epoch else {}
    return {**values, GLOBAL_STEP: made, **epoch}


def _history_name(column: str) -> str:
    return column if column.startswith("eval/") else _TRAINER_NAMES.get(column, f"probe/{column}")


def run_name(name: str, directory: Path, *, in_sweep: bool) -> str:
    """`name`, followed by what else the command line set: `warmuplinear-w36-lr0.001-s0 batch_size=16`.

    Args:
        name: the name of the plan, with scheduler, warmup, lr and seed.
        directory: the folder of the run.
        in_sweep: in a sweep, only the keys that differ between its runs are added.
    """
    settings: Sequence[str] = ()
    with contextlib.suppress(Exception):  # a file that is not there, or not as expected: the name is shorter
        settings = _varied_in_sweep(directory) if in_sweep else _set_by_command(directory)
    return " ".join((name, *map(_short, settings)))


def _set_by_command(directory: Path) -> list[str]:
    """The overrides of a single run, as Hydra wrote them into its folder."""
    from omegaconf import OmegaConf

    overrides = OmegaConf.to_container(OmegaConf.load(directory / ".hydra" / "overrides.yaml"), resolve=False)
    assert isinstance(overrides, list)
    return [text for text in overrides if _adds_to_name(text)]


def _varied_in_sweep(directory: Path) -> list[str]:
    """The overrides of a run whose keys have several values in the job list of its sweep.

    A search starts with one run, which does not differ from others yet: its keys are those that the command searches.
    """
    listing = json.loads((directory.parent / "sweep.json").read_text(encoding="utf-8"))
    own: list[str] = next(job["overrides"] for job in listing["jobs"] if job["run_id"] == directory.name)
    values: dict[str, set[str]] = {}
    for job in listing["jobs"]:
        for text in job["overrides"]:
            values.setdefault(_key(text), set()).add(text)
    varied = {key for key, found in values.items() if len(found) > 1}
    searched = {_key(word) for word in shlex.split(listing["command"]) if _SEVERAL_VALUES.search(word)}
    return [text for text in own if _adds_to_name(text) and _key(text) in (varied or searched)]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _adds_to_name(override: str) -> bool:
    key = _key(override)
    return key not in _IN_EVERY_NAME and key.split(".")[0].split("/")[0] not in _WITHOUT_EFFECT


def _short(override: str) -> str:
    """An override with the last part of a path, and six digits of a number.

    >>> _short("task.train_file=/data/mine/a.tsv"), _short("model.dropout=0.12345678901")
    ('task.train_file=a.tsv', 'model.dropout=0.123457')
    """
    key, equals, value = override.partition("=")
    if len(value) > 8:
        with contextlib.suppress(ValueError):
            value = f"{float(value):g}"
    return f"{key}{equals}{value.rpartition('/')[2]}"
