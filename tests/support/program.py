"""Programs that tests run as a user would: `train.py` and pieces of Python. `fork_server.py` starts some of them."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from fork_server import Fork

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "train.py")
SMALL = ("task.num_train=160", "task.num_validation=40", "tracking=none", "num_threads=1")
"""5 updates an epoch at batch size 32."""
SMALL_MODEL = ("model.num_layers=1", "model.hidden_size=32")


def train_py(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python train.py ARGS` in a process of its own in the folder `cwd`."""
    return run([sys.executable, TRAIN, *args], cwd=cwd, **environment)


def train_py_here(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `train_py`, but in this process: a new one needs several seconds to import torch and transformers."""
    return run_here([TRAIN, *args], cwd=cwd, **environment)


def run_here(words: Sequence[str], *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python WORDS` in this process: a script, or a module after `-m`."""
    is_module = words[0] == "-m"
    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment),  # restores the whole environment: cli.main() sets HYDRA_FULL_ERROR
        mock.patch.object(sys, "argv", list(words[is_module:])),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        own_logging(),
    ):
        try:
            if is_module:
                sys.modules.pop(f"{words[1]}.__main__", None)  # another test may have imported it: runpy would warn
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(words[0], run_name="__main__")
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):
                print(stop.code, file=errors)
    return subprocess.CompletedProcess(words, status, output.getvalue(), errors.getvalue())


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Restores the root logger: Hydra replaces its handlers by ones that write to the streams of one test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def start_train_py(*args: str, cwd: Path, **environment: str) -> Fork:
    """Starts `python train.py ARGS` in a process group of its own, with its imports done already."""
    return start_forked([TRAIN, *args], cwd=cwd, **environment)


def start_forked(words: Sequence[str], *, cwd: Path, **environment: str) -> Fork:
    """Starts `python WORDS`, a script, in a process group of its own, with its imports done already."""
    return Fork(words, cwd, {**os.environ, **environment})


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, whatever its exit status. The output is text."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def start(command: Sequence[str | Path], *, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own, to be signalled or waited for."""
    return subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **environment}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_files(folder: Path, pattern: str, process: subprocess.Popen[str] | Fork, *, count: int = 1) -> list[Path]:
    """Waits until `count` files in `folder` match the pattern. Fails if the process ends first or after 2 minutes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list(folder.glob(pattern))
        if len(found) >= count:
            return found
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"{pattern} never came; exit status {process.poll()}: {process.communicate()[1]}")


def python(code: str, **environment: str) -> str:
    """The output of a piece of Python in a process of its own, which must succeed."""
    done = run([sys.executable, "-c", code], **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
