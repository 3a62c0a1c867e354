"""Programs that tests start as a user would: `train.py` and pieces of Python. Only this file calls `subprocess`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("task.num_train=160", "task.num_validation=40", "tracking=none", "num_threads=1")
"""5 updates an epoch at batch size 32."""


def train_py(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python train.py ARGS` in the folder `cwd` to its end; the output is text."""
    return run([sys.executable, str(ROOT / "train.py"), *args], cwd=cwd, **environment)


def run(command: list[str], *, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, whatever its exit status; the output is text."""
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True, timeout=300, check=False
    )


def start(command: list[str], *, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own, to be signalled or waited for."""
    return subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **environment}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def python(code: str, **environment: str) -> str:
    """What a piece of Python prints in a process of its own, which must succeed."""
    done = run([sys.executable, "-c", code], **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
