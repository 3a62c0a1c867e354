"""The command that started this process, as the user can paste it into the shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def train_program() -> list[str]:
    """The words before the arguments of a training: `python train.py` or `warmup-lab train`.

    A program that the shell would not find by its name, because no environment is activated, is given as a path
    relative to the working directory.
    """
    started = Path(sys.argv[0])
    if started.suffix == ".py" and started.name != "__main__.py":
        return [_callable("python"), _relative(started)]
    return [_callable("warmup-lab"), "train"]


def _callable(name: str) -> str:
    """The name, if the shell finds the program of this environment by it; otherwise its path."""
    folder = Path(sys.executable).parent
    found = shutil.which(name)
    return name if found and Path(found).parent == folder else _relative(folder / name)


def _relative(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive of Windows
        return str(path)
