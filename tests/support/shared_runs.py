"""Runs that two processes share: what `accelerate launch` executes in each of them, and the plans.

python shared_runs.py FOLDER: process 0 writes every run below FOLDER. The last run is that of a command line, in which
process 1 fails at the first evaluation.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path

import torch.distributed as dist
from small_runs import small_plan

from warmup_lab.cli.script import run_script
from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.plan import Plan
from warmup_lab.training import execute_run, loop
from warmup_lab.training.launch import launched

FAILING = (
    "task.num_train=160", "task.num_validation=40", "tracking=none", "num_threads=1", "model.num_layers=1",
    "model.hidden_size=32", "eval_every=10", "device=cpu",
)  # fmt: skip
STOP_AT = 5
"""The update after which process 1 alone receives Ctrl-C."""


def uneven_plan() -> Plan:
    """Forward passes of 7 examples, the last one of an epoch has 1: 2 x 7, 2 x 7, and 1 example in the 3 updates."""
    task = SyntheticTask("synthetic", num_train=29, num_validation=33)
    return small_plan(dropout=0.0, epochs=3, batch_size=7, grad_accumulation=2, eval_every=2, task=task, device="cpu")


def plans() -> dict[str, Plan]:
    """Name of a folder -> its run."""
    return {
        "uneven": uneven_plan(),
        "dropout": small_plan(device="cpu", epochs=1),
        "again": small_plan(device="cpu", epochs=1),
        "stopped": small_plan(dropout=0.0, device="cpu"),
        "resumed": small_plan(dropout=0.0, device="cpu"),
        "diverged": small_plan(
            device="cpu", lr=1e30, scheduler="constantlr", warmup_ratio=None, max_grad_norm=None, epochs=1
        ),
    }


def main(folder: Path) -> int:
    """All runs, one after the other."""
    launch = launched()
    assert launch is not None
    line = loop.ProgressLine

    class InterruptedLine(line):
        def update(self, loss: float, lr: float) -> None:
            super().update(loss, lr)
            if self._step == STOP_AT and not launch.is_main:
                signal.raise_signal(signal.SIGINT)

    facts = {}
    for name, plan in plans().items():
        loop.ProgressLine = InterruptedLine if name == "stopped" else line
        with contextlib.suppress(loop.Interrupted):
            facts[name] = execute_run(plan, folder / name, show_progress=False)["status"]
    facts |= {"world_size": dist.get_world_size(), "backend": dist.get_backend()}
    (folder / f"facts{launch.rank}.json").write_text(json.dumps(facts))

    def failing(*_: object) -> None:
        raise MemoryError("no memory left")

    if not launch.is_main:
        loop.evaluate = failing
    sys.argv[:] = ["warmup-lab", "train", *FAILING, f"hydra.run.dir={folder / 'failed'}"]
    return run_script()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
