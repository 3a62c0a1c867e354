"""Start-up time of `train.py`, compared with importing torch and transformers alone. Times are of whole processes.

    python tests/benchmarks/start.py

`first update` is `train.py` on the embedded task with one update. It is timed from the command to the end of the
process, including the evaluation on 8 sentences and all files of the run. Each command is run once untimed first, so
data and vocabulary are in the cache.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import timing

TRAIN = [sys.executable, timing.TRAIN]
ONE_UPDATE = ["max_steps=1", "task.num_validation=8", "tracking=none", "eval_every=null"]
COMMANDS = {
    "import of torch and transformers": [sys.executable, "-c", "import torch, transformers"],
    "import of what a model needs": [sys.executable, "-c", "from transformers import BertForSequenceClassification"],
    "--help": [*TRAIN, "--help"],
    "--cfg job": [*TRAIN, "--cfg", "job"],
    "first update": [*TRAIN, *ONE_UPDATE],
}
PLAIN, MODEL = list(COMMANDS)[:2]


def side(name: str, cwd: Path) -> Callable[[int], float]:
    def once(_: int) -> float:
        shutil.rmtree(cwd / "runs", ignore_errors=True)
        return timing.whole_process(COMMANDS[name], cwd).seconds

    return once


def main(words: Sequence[str] | None = None) -> None:
    options = timing.arguments(str(__doc__).partition("\n")[0], rounds=7).parse_args(words)
    rounds = 1 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in COMMANDS if not (options.quick and name == MODEL)]
        sides = {name: side(name, Path(folder)) for name in names}
        if not options.quick:
            timing.say("each command once untimed, to fill the caches")
            for warm in sides.values():
                warm(0)
        found = timing.alternate(sides, rounds)
        trained = len(list(Path(folder).glob("runs/single/*/result.json")))
    rows = [
        timing.compared("start", f"`train.py {name}`", "s", found[name], found[PLAIN], PLAIN)
        for name in ("--help", "--cfg job")
    ]
    rows += [
        timing.compared("start", "until the first update", "s", found["first update"], found[peer], peer)
        for peer in (PLAIN, MODEL)
        if peer in found
    ]
    checks = {"the first update was made": {"ok": trained == 1, "numbers": {"results": trained}}}
    timing.write("start", rows, options.out, settings={"rounds": rounds}, checks=checks, threads="auto")


if __name__ == "__main__":
    main()
