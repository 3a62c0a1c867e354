"""From the command to the last of 5,000 jobs in the queue of a Slurm cluster, with one run a task and with 16.

    python tests/benchmarks/slurm.py               # as root, with slurmctld, slurmd and munge; 2 rounds

The cluster is started here (`tests/support/slurm_cluster.py`), with Slurm's default MaxArraySize of 1001. Its partition
is down, so jobs are accepted and do not start. The command is killed once Slurm has accepted its last array, and the
queue is emptied before the next one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import timing

sys.path.insert(0, str(timing.ROOT / "tests" / "support"))
from slurm_cluster import slurm_cluster, unmet_needs

GRID = ["task=synthetic_small", "model=bert_tiny", "max_steps=20", "warmup_ratio=0,0.02,0.1,0.3", "tracking=none"]
MAX_ARRAY_SIZE = 1001
RUNS_PER_TASK = (1, 16)


def until_accepted(folder: Path, num_seeds: int, runs_per_task: int, environment: dict[str, str]) -> tuple[float, int]:
    """Seconds from the command until Slurm has accepted its last array, and the number of arrays."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["-m", *GRID, f"seed=range({num_seeds})", "hydra/launcher=slurm", f"hydra.sweep.dir={folder}",
             f"hydra.launcher.runs_per_task={runs_per_task}"]  # fmt: skip
    num_tasks, accepted, num_arrays, told = -(-4 * num_seeds // runs_per_task), 0, 0, ""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(timing.TRAIN), *words], cwd=folder.parent, env=environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            told += line
            if found := re.match(r"submitted (\d+) tasks?", line):
                accepted, num_arrays = accepted + int(found[1]), num_arrays + 1
            if accepted == num_tasks:
                return time.perf_counter() - started, num_arrays
        raise RuntimeError(f"the command ended after {accepted} of {num_tasks} tasks:\n{told[-2000:]}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _empty_queue(environment)


def _empty_queue(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--me"], env=environment, check=False)
    while subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, check=True).stdout:
        time.sleep(0.5)


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0], rounds=2)
    options = parser.parse_args(words)
    missing = unmet_needs()
    if missing is not None:
        raise SystemExit(missing)
    rounds, num_seeds = (1, 3) if options.quick else (options.rounds, 1250)
    arrays: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        (cluster := Path(scratch) / "cluster").mkdir()
        with slurm_cluster(cluster, max_array_size=MAX_ARRAY_SIZE) as environment:
            down = ["scontrol", "update", "PartitionName=main", "State=DOWN"]
            subprocess.run(down, env=environment, check=True)

            def side(runs_per_task: int) -> Callable[[int], float]:
                def once(_: int) -> float:
                    folder = Path(scratch) / "sweep"
                    seconds, arrays[str(runs_per_task)] = until_accepted(folder, num_seeds, runs_per_task, environment)
                    return seconds

                return once

            costs = timing.alternate({str(number): side(number) for number in RUNS_PER_TASK}, rounds)
    one, many = (str(number) for number in RUNS_PER_TASK)
    what = f"{4 * num_seeds:,} jobs accepted by Slurm, {many} runs a task"
    row = timing.compared("slurm", what, "s", costs[many], costs[one], f"{one} run a task")
    settings = {"rounds": rounds, "jobs": 4 * num_seeds, "arrays": arrays, "MaxArraySize": MAX_ARRAY_SIZE}
    timing.write("slurm", [row], options.out, settings=settings, checks={}, threads="auto")


if __name__ == "__main__":
    main()
