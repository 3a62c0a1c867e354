"""Cost of offline Weights & Biases per update: the same run with and without it, alternating.

    python tests/benchmarks/tracking.py

bert_tiny on the embedded task, one thread, one row of history an update (the default). `an update` is measured by the
run's own clock, which excludes the start and the end of W&B. `a run` includes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import timing

from warmup_lab.cli.compose import compose_plan
from warmup_lab.plan import Plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.training import loop

MODES = {"offline": ["tracking=wandb", "tracking.mode=offline"], "none": ["tracking=none"]}


def plan_of(mode: str, updates: int) -> Plan:
    small = ("num_threads=1", "eval_every=null", "task.num_validation=8", "device=cpu", "precision=fp32")
    return compose_plan([*MODES[mode], f"max_steps={updates}", *small])


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--updates", type=int, default=200, help="updates of a run")
    options = parser.parse_args(words)
    rounds, updates = (1, 3) if options.quick else (options.rounds, options.updates)
    whole: dict[str, list[float]] = {name: [] for name in MODES}
    losses: dict[str, list[float]] = {}
    history: dict[str, int] = {}

    def side(mode: str) -> Callable[[int], float]:
        plan = plan_of(mode, updates)

        def once(_: int) -> float:
            with tempfile.TemporaryDirectory() as folder:
                directory = Path(folder) / "run"
                started = time.perf_counter()
                result = loop.train(plan, directory, show_progress=False)
                whole[mode].append(time.perf_counter() - started)
                losses[mode] = StepTable.read(directory / "trace.parquet").array("loss").tolist()
                history[mode] = len(list(Path(folder).glob("wandb/**/*.wandb")))
            return 1000 * result["speed"]["seconds"] / updates

        return once

    sides = {mode: side(mode) for mode in MODES}
    if not options.quick:
        for warm in sides.values():
            warm(0)
        whole = {name: [] for name in MODES}
    found = timing.alternate(sides, rounds)
    rows = [
        timing.compared("tracking", "one update, W&B offline", "ms", found["offline"], found["none"], "tracking=none"),
        timing.compared(
            "tracking", f"a run of {updates} updates", "s", whole["offline"], whole["none"], "tracking=none"
        ),
    ]
    checks = {
        "losses are the same bit for bit": {
            "ok": losses["offline"] == losses["none"],
            "numbers": {mode: values[-1] for mode, values in losses.items()},
        },
        "W&B recorded one run": {"ok": history == {"offline": 1, "none": 0}, "numbers": history},
    }
    settings = {"model": "bert_tiny", "task": "synthetic", "updates": updates, "rounds": rounds}
    timing.write("tracking", rows, options.out, settings=settings, checks=checks, threads=1)


if __name__ == "__main__":
    main()
