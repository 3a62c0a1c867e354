"""The command that started this process, as the user can paste it into the shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def train_program() -> list[str]:
    """The words before the arguments of a training: `python train.py` or `warmup-lab train`.

    A program that the shell would not find by its name, because no environment is activated, is given as a path.
    """
    started = Path(sys.argv[0])
    if started.suffix == ".py" and started.name != "__main__.py":
        return [_callable("python"), _shorter(started)]
    return [_callable("warmup-lab"), "train"]


def _callable(name: str) -> str:
    """The name, if the shell finds the program of this environment by it; otherwise its path."""
    folder = Path(sys.executable).parent
    found = shutil.which(name)
    return name if found and Path(found).parent == folder else _shorter(folder / name)


def _shorter(path: Path) -> str:
    """Relative to the working directory or absolute, whichever is shorter."""
    try:
        return min(os.path.relpath(path), str(path.absolute()), key=len)
    except ValueError:  # another drive of Windows
        return str(path)
