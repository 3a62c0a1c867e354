"""A study of 24 runs, end to end, compared with the same 24 runs of a `transformers.Trainer` script.

    python tests/benchmarks/study.py             # a quarter of an hour on two cores
    python tests/benchmarks/study.py --whole     # every run of every side in every round: an hour

4 warmup lengths x 6 seeds, 240 updates of bert_tiny on 6,000 sentences of SST-2, evaluated once at the end.

- `ours`: `train.py -m ... hydra/launcher=...` from the command to its last line: the check of all cells, 24 runs, the
  table, the comparison, and the report with its figures. One process a core with one thread each, no tracking.
- (a) `peers/trainer_script.py`, started once a run as in a shell loop, with torch's default of one thread a core.
- (b) the same script with all runs in one process, on texts tokenised once.

Every round times all of `ours`. Of (a), a round times a few starts, on other cells each round, and scales their mean
to 24. Of (b), a round times one process with a few runs: the time outside the runs counts once, the mean time of a run
24 times. `--whole` scales nothing.

Tokenizer and vocabulary are prepared for all sides. The script uses the same ones, and reads and tokenises the same
texts itself. It draws its own initial weights, data order and dropout from the seed, so runs agree only in
distribution: over the cells that both sides trained, the mean evaluation loss must agree within 0.08 nats and the mean
accuracy within 0.03.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import data
import timing

from warmup_lab.cli.compose import compose_plan
from warmup_lab.config.steps import ceil_share
from warmup_lab.plan import Plan
from warmup_lab.tasks.tokenizing import tokenize

SCRIPT = Path(__file__).resolve().parent / "peers" / "trainer_script.py"
RATIOS = (0.0, 0.02, 0.1, 0.3)
LIMIT_STARTS, LIMIT_PROCESS = 4.0, 2.0
SAME_LOSS, SAME_ACCURACY = 0.08, 0.03

Cell = tuple[int, int]
"""Warmup updates, seed."""


@dataclass(frozen=True)
class Study:
    """The runs of all sides, and their results so far."""

    ratios: Sequence[float]
    seeds: int
    updates: int
    limit: int
    launcher: str
    folder: Path
    """Temporary: inputs of the script and outputs of all sides."""
    ours: dict[Cell, list[dict[str, float]]] = field(default_factory=dict)
    """Metrics of every run so far, by cell."""
    peer: dict[Cell, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        """All warmup lengths of one seed, then the next seed: a few cells in a row have several lengths."""
        return [(ceil_share(ratio, self.updates), seed) for seed in range(self.seeds) for ratio in self.ratios]

    def overrides(self) -> list[str]:
        return ["task=sst2", f"task.limit={self.limit}", "model=bert_tiny", f"max_steps={self.updates}",
                "eval_every=null", "tracking=none", "device=cpu", "precision=fp32"]  # fmt: skip


def prepare(study: Study) -> None:
    """Writes the tokenizer, the configuration of the model and the texts for the script."""
    from warmup_lab.training.run import build

    plan = compose_plan(study.overrides())
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    model, _ = build(plan, task)
    inputs = study.folder / "model"
    inputs.mkdir()
    for file in task.tokenizer_dir.iterdir():
        (inputs / file.name).write_bytes(file.read_bytes())
    model.config.save_pretrained(inputs)  # type: ignore[union-attr,operator]
    _write_texts(plan, study.folder)


def _write_texts(plan: Plan, folder: Path) -> None:
    for name in ("train", "validation"):
        split = getattr(plan.corpus, name)
        lines = [f"{text}\t{label}" for (text,), label in zip(split.texts, split.labels, strict=True)]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- sides


def ours(study: Study, number: int) -> float:
    """Seconds of the whole study, in a new folder."""
    ratios = ",".join(f"{ratio:g}" for ratio in study.ratios)
    command = [sys.executable, timing.TRAIN, "-m", *study.overrides(), f"warmup_ratio={ratios}",
               f"seed=range({study.seeds})", f"hydra/launcher={study.launcher}", f"study=round{number}"]  # fmt: skip
    done = timing.whole_process(command, study.folder)
    directory = study.folder / "runs" / f"round{number}"
    assert (directory / "report.html").exists(), done.output
    for path in directory.glob("*/result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        cell = result["strategy"]["warmup_steps"], result["strategy"]["seed"]
        study.ours.setdefault(cell, []).append(result["metrics"])
    return done.seconds


def script(study: Study, cells: Sequence[Cell], output: Path) -> tuple[float, list[float]]:
    """Seconds of the whole process and of each run in it."""
    command = [sys.executable, SCRIPT, "--model", study.folder / "model", "--train", study.folder / "train.tsv",
               "--validation", study.folder / "validation.tsv", "--output", output, "--max_steps", study.updates,
               "--warmup_steps", *(warmup for warmup, _ in cells), "--seed", *(seed for _, seed in cells)]  # fmt: skip
    done = timing.whole_process(command, study.folder)
    for warmup, seed in cells:
        metrics = json.loads((output / f"w{warmup}-s{seed}" / "metrics.json").read_text(encoding="utf-8"))
        study.peer.setdefault((warmup, seed), []).append(metrics)
    return done.seconds, json.loads((output / "seconds.json").read_text(encoding="utf-8"))


def one_process_a_run(study: Study, number: int, starts: int) -> float:
    """Seconds of (a), scaled from `starts` of its runs."""
    chosen = _next(study.cells, number, starts)
    seconds = [script(study, [cell], study.folder / f"a{number}-{index}")[0] for index, cell in enumerate(chosen)]
    return statistics.mean(seconds) * len(study.cells)


def one_process(study: Study, number: int, runs: int) -> float:
    """Seconds of (b), scaled from a process of `runs` runs."""
    chosen = _next(study.cells, number, runs)
    whole, seconds = script(study, chosen, study.folder / f"b{number}")
    return whole - sum(seconds) + statistics.mean(seconds) * len(study.cells)


def _next(cells: list[Cell], number: int, count: int) -> list[Cell]:
    """The next `count` cells, other ones each round."""
    start = number * count % len(cells)
    return list(islice(cycle(cells), start, start + count))


# --------------------------------------------------------------------------------------------------- benchmark


def check(study: Study) -> dict[str, Any]:
    """Checks that the mean results of both sides agree, over the cells that both trained."""
    shared = sorted(set(study.ours) & set(study.peer))
    found: dict[str, Any] = {}
    for metric, tolerance in (("eval_loss", SAME_LOSS), ("eval_accuracy", SAME_ACCURACY)):
        numbers = {
            name: statistics.mean(statistics.mean(run[metric] for run in side[cell]) for cell in shared)
            for name, side in (("ours", study.ours), ("Trainer", study.peer))
        }
        found[f"mean {metric} of {len(shared)} cells"] = timing.agreement(numbers, tolerance)
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--launcher", default="fastest", help="hydra/launcher of this project's side")
    parser.add_argument("--starts", type=int, default=1, help="starts of (a) timed in a round, scaled to 24")
    parser.add_argument("--runs", type=int, default=2, help="runs of (b) timed in a round, scaled to 24")
    parser.add_argument("--whole", action="store_true", help="24 starts of (a) and 24 runs of (b) in every round")
    options = parser.parse_args(words)
    sizes = {"ratios": RATIOS, "seeds": 6, "updates": 240, "limit": 6000}
    if options.quick:
        sizes |= {"ratios": (0.1,), "seeds": 1, "updates": 2, "limit": 64}
        options.rounds = options.starts = options.runs = 1
    with data.texts(options.out) as which, tempfile.TemporaryDirectory() as scratch:
        study = Study(**sizes, launcher=options.launcher, folder=Path(scratch))
        if options.whole:
            options.starts = options.runs = len(study.cells)
        prepare(study)
        sides = {
            "ours": lambda number: ours(study, number),
            "(a)": lambda number: one_process_a_run(study, number, options.starts),
            "(b)": lambda number: one_process(study, number, options.runs),
        }
        found = timing.alternate(sides, options.rounds)
    what = f"a study of {len(study.cells)} runs"
    peers = {
        "(a)": ("Trainer script, one process per run", LIMIT_STARTS),
        "(b)": ("Trainer in one process", LIMIT_PROCESS),
    }
    rows = [
        timing.compared("study", what, "s", found["ours"], found[side], name, faster=True, limit=limit)
        for side, (name, limit) in peers.items()
    ]
    settings = {
        **sizes, "model": "bert_tiny", "texts": which, "launcher": options.launcher, "rounds": options.rounds,
        "starts_of_a": options.starts, "runs_of_b": options.runs, "dropout": 0.1,
    }  # fmt: skip
    timing.write("study", rows, options.out, settings=settings, checks=check(study), threads="ours 1, Trainer all")


if __name__ == "__main__":
    main()
