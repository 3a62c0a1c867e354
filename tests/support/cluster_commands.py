"""Commands whose sweeps train on a cluster, for tests/cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from program import ROOT

Start = Callable[[list[str], Path], "subprocess.Popen[bytes]"]


@contextmanager
def started_commands(environment: Mapping[str, str]) -> Iterator[Start]:
    """Yields a function that starts `train.py WORDS` with its output in a file. At the end, what still runs is killed.

    Each command has a process group of its own, as in a terminal, and the folder of its output as working directory.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(words: list[str], output: Path) -> subprocess.Popen[bytes]:
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *words], cwd=output.parent, env=environment,
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            end(processes_of(process))
            process.wait()


def processes_of(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all its descendants, also those with a process group of their own."""
    try:
        process = psutil.Process(parent.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: list[psutil.Process]) -> None:
    """Kills these processes, and no others that have their ids by now."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=20)


def until(condition: Callable[[], Any], process: subprocess.Popen[bytes], seconds: float = 180) -> Any:
    """The first true value of `condition`, while the process runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        assert process.poll() is None, "the command ended early"
        time.sleep(0.05)
    raise AssertionError("timed out")
