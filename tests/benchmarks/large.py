"""Sweeps of 5,000 jobs and reports of 10,000 runs, of this code and of the code of another commit.

    python tests/benchmarks/large.py --before 57e3e72          # 2 rounds of both

Both sides run in turn on one machine. The start is `train.py -m ... hydra/launcher=fastest tracking=none`, from the
command to the first trace; the sweep is stopped then. The report is `python -m warmup_lab.report` on the made-up sweep
of `report.py`. Its peak memory is given for the largest process, and for all its processes together.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import timing
from report import make

FILES = ("results.parquet", "comparison.json", "report.html")
GRID = ["task=synthetic_small", "model=bert_tiny", "max_steps=20", "warmup_ratio=0,0.02,0.1,0.3"]
LAUNCH = ["hydra/launcher=fastest", "tracking=none"]


def environment(code: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(code / "src")}


def until_first_trace(code: Path, folder: Path, num_seeds: int) -> float:
    """Seconds from the command to the first trace, after which the whole sweep is killed."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["-m", *GRID, f"seed=range({num_seeds})", *LAUNCH, f"hydra.sweep.dir={folder}"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(code / "train.py"), *words], cwd=folder.parent, env=environment(code),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        while not (folder.is_dir() and any(folder.glob("*/trace.parquet"))):
            if process.poll() is not None:
                raise RuntimeError(f"the sweep of {code} ended with {process.returncode} before its first trace")
            time.sleep(0.05)
        return time.perf_counter() - started
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def peak_of_all(stop: threading.Event, peaks: list[float]) -> None:
    """Appends the largest sum of the resident memory of this process's children, in 10^6 bytes."""
    largest = 0
    while not stop.wait(0.1):
        total = 0
        for child in psutil.Process().children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        largest = max(largest, total)
    peaks.append(largest / 1e6)


class Reports:
    """Reports of one folder, with the memory of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.largest: dict[str, list[float]] = {}
        self.together: dict[str, list[float]] = {}
        self.digests: dict[str, dict[str, str]] = {}

    def side(self, name: str, code: Path) -> Callable[[int], float]:
        def once(_: int) -> float:
            for written in FILES:
                (self.folder / written).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "figures", ignore_errors=True)
            stop = threading.Event()
            watch = threading.Thread(target=peak_of_all, args=(stop, self.together.setdefault(name, [])))
            watch.start()
            command = [sys.executable, "-m", "warmup_lab.report", self.folder]
            done = timing.whole_process(command, self.folder, {"PYTHONPATH": str(code / "src")})
            stop.set()
            watch.join()
            self.largest.setdefault(name, []).append(done.peak_mb)
            contents = {written: (self.folder / written).read_bytes() for written in FILES}
            self.digests[name] = {key: hashlib.sha256(value).hexdigest()[:12] for key, value in contents.items()}
            return done.seconds

        return once


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0], rounds=2)
    parser.add_argument("--before", default="HEAD", help="commit to compare with")
    options = parser.parse_args(words)
    rounds, num_seeds = (1, 3) if options.quick else (options.rounds, 1250)
    with tempfile.TemporaryDirectory() as scratch:
        old = Path(scratch) / "before"
        subprocess.run(["git", "-C", timing.ROOT, "worktree", "add", "-q", "--detach", old, options.before], check=True)
        codes = {"before": old, "after": timing.ROOT}
        try:
            folder = make(Path(scratch) / "study", times=2 if options.quick else 10, quick=options.quick)
            reports, sweep = Reports(folder), Path(scratch) / "sweep"
            starts = timing.alternate(
                {name: lambda _, code=code: until_first_trace(code, sweep, num_seeds) for name, code in codes.items()},
                rounds,
            )
            seconds = timing.alternate({name: reports.side(name, code) for name, code in codes.items()}, rounds)
        finally:
            subprocess.run(["git", "-C", timing.ROOT, "worktree", "remove", "--force", old], check=True)
    rows = [
        _row(f"first trace of a sweep of {4 * num_seeds:,} jobs", "s", starts),
        _row("report of 10,000 runs", "s", seconds, limit=0.5),
        _row("report of 10,000 runs, largest process", "MB", reports.largest),
        _row("report of 10,000 runs, all processes", "MB", reports.together),
    ]
    same = {"ok": reports.digests["before"] == reports.digests["after"], "numbers": reports.digests}
    settings = {"rounds": rounds, "before": options.before, "jobs": 4 * num_seeds}
    checks = {"both reports are equal byte for byte": same}
    timing.write("large", rows, options.out, settings=settings, checks=checks, threads="auto")


def _row(what: str, unit: str, costs: dict[str, list[float]], limit: float | None = None) -> timing.Row:
    return timing.compared("large", what, unit, costs["after"], costs["before"], "before", limit=limit)


if __name__ == "__main__":
    main()
