"""Commands that follow from a sweep: a wider grid of learning rates, a confirmation on new seeds, one training."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.naming import arm_names
from warmup_lab.comparison.statistics import MIN_PAIRS
from warmup_lab.comparison.table import Sweep

_LENGTHS = ("warmup_ratio", "warmup_steps", "warmup_epochs")
_SWEEP_DIR = "hydra.sweep.dir"
_KEPT = ("hydra/launcher",)
"""Keys of Hydra itself that a following sweep keeps."""


def lr_grid_command(sweep: Sweep, arm: Arm, lrs: Sequence[float]) -> str:
    """The arm at other learning rates, with no warmup, with its own and with 10 %, at the seeds of the sweep.

    Fewer seeds than a test needs are filled up.
    """
    seeds = sorted({int(job["strategy"]["seed"]) for job in sweep.jobs})
    seeds += range(seeds[-1] + 1, seeds[-1] + 1 + MIN_PAIRS - len(seeds))
    changed = {"optimizer.lr": ",".join(f"{lr:.3g}" for lr in sorted(lrs)), "seed": _seeds_text(seeds)}
    return _sweep_command(sweep, _with_warmups(_overrides(sweep, arm), arm) | changed, "lr")


def continue_command(sweep: Sweep) -> str:
    """The same command, which goes on with the next planned look; with twice the budget if one ended it."""
    budget = sweep.compare.get("budget_minutes")
    if not sweep.command or budget is None:
        return sweep.command
    words = [word for word in shlex.split(sweep.command) if not word.startswith("compare.budget_minutes=")]
    return shlex.join([*words, f"compare.budget_minutes={2 * budget:g}"])


def longer_command(sweep: Sweep, updates: int) -> str:
    """The whole sweep with another number of updates.

    Where the command lists several `warmup_steps`, they grow alike, and 10 % is among them.
    """
    words = shlex.split(sweep.command)[len(_program(sweep)) :]
    kept = [word for word in words if word.partition("=")[0] not in ("max_steps", *_folder(sweep, "longer"))]
    total_steps = max(job["strategy"]["total_steps"] for job in sweep.jobs)
    kept = [_longer_warmups(word, updates, total_steps) for word in kept]
    return shlex.join([*_program(sweep), *kept, f"max_steps={updates}", *_texts(_folder(sweep, "longer"))])


def _longer_warmups(word: str, updates: int, total_steps: int) -> str:
    """The override `warmup_steps=...` for runs of `updates` in place of `total_steps`; any other word as it is."""
    key, _, values = word.partition("=")
    if key != "warmup_steps" or not all(text.isdecimal() for text in values.split(",")):
        return word
    given, tenth = {int(text) for text in values.split(",")}, -(-total_steps // 10)
    lengths = {round(steps * updates / total_steps) for steps in given - {tenth}}
    lengths |= {-(-updates // 10)} if len(given) > 1 or tenth in given else set()
    return f"{key}={','.join(map(str, sorted(lengths)))}"


def with_new_seeds_command(sweep: Sweep, arm: Arm, num_seeds: int) -> str:
    """The arm with no warmup, with its own and with 10 %, at seeds that took no part in choosing it."""
    first = 1 + max(int(job["strategy"]["seed"]) for job in sweep.jobs)
    overrides = _with_warmups(_overrides(sweep, arm), arm) | {"seed": f"range({first},{first + num_seeds})"}
    return _sweep_command(sweep, overrides, "confirm")


def single_run_command(sweep: Sweep, arm: Arm) -> str:
    """One training of the arm, at the first seed of the sweep, that keeps its model."""
    first = min(int(job["strategy"]["seed"]) for job in sweep.jobs)
    overrides = _overrides(sweep, arm) | {"seed": str(first), "save_model": "true"}
    return shlex.join([*_program(sweep), *_texts(overrides)])


def _overrides(sweep: Sweep, arm: Arm) -> dict[str, str]:
    """What the command line and the sweep set for the arm, without the seed."""
    names = arm_names(sweep.jobs)
    job = next(job for job in sweep.jobs if names[job["arm_id"]] in (arm.name, *arm.aliases))
    pairs = (override.partition("=") for override in job["overrides"])
    return {key: value for key, _, value in pairs if key.lstrip("+") != "seed"}


def _with_warmups(overrides: dict[str, str], arm: Arm) -> dict[str, str]:
    """The overrides with several lengths of the warmup. An automatic warmup, which has none, stays alone."""
    key = next((key for key in _LENGTHS if overrides.get(key, "null") != "null"), None)
    if key is None:
        return overrides
    own = overrides[key]
    tenth = {"warmup_ratio": ["0.1"], "warmup_steps": [str(-(-arm.total_steps // 10))]}.get(key, [])
    lengths = {float(text): text for text in ("0", *tenth, own)}
    return overrides | {key: ",".join(lengths[length] for length in sorted(lengths))}


def _sweep_command(sweep: Sweep, overrides: dict[str, str], suffix: str) -> str:
    """A multirun in a folder of its own, beside that of `sweep`."""
    own = dict(token.partition("=")[::2] for token in shlex.split(sweep.command) if "=" in token)
    kept = {key: own[key] for key in _KEPT if key in own}
    return shlex.join([*_program(sweep), "-m", *_texts(overrides | kept | _folder(sweep, suffix))])


def _folder(sweep: Sweep, suffix: str) -> dict[str, str]:
    """The override that gives a following sweep its own folder."""
    own = dict(token.partition("=")[::2] for token in shlex.split(sweep.command) if "=" in token)
    if _SWEEP_DIR in own:
        return {_SWEEP_DIR: f"{own[_SWEEP_DIR].rstrip('/')}_{suffix}"}
    return {"study": f"{sweep.directory.resolve().name}_{suffix}"}


def _program(sweep: Sweep) -> list[str]:
    """The words of the sweep's command before the first option or override."""
    words: list[str] = []
    for token in shlex.split(sweep.command):
        if token.startswith("-") or "=" in token:
            break
        words.append(token)
    return words or ["python", "train.py"]


def _texts(overrides: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in overrides.items()]


def _seeds_text(seeds: Sequence[int]) -> str:
    if len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"range({seeds[0]},{seeds[-1] + 1})" if seeds[0] else f"range({len(seeds)})"
    return ",".join(map(str, seeds))
