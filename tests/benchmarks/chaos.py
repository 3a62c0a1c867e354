"""Kills commands, runs the same commands again, and compares what they leave with what an undisturbed one leaves.

    python tests/benchmarks/chaos.py                                  # 330 kills and more: 20 minutes on two cores
    python tests/benchmarks/chaos.py --kills 3 --writes 5 --phases single stacked

In each phase, `--kills` kills come at random moments from the first write on: SIGKILL, SIGTERM or Ctrl-C. In some
phases SIGKILL also comes at every write, rename, removal and fsync; `--writes N` takes every N-th. Then the same
command must exit with 0. The runs must equal those of an undisturbed command: status, metrics, trace and evaluations
bit for bit, those of stacked runs to 1e-5, and `comparison.json` too. No file may be damaged.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pyarrow.parquet as pq
from killed import Command, Kill

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "train.py")
TINY = (
    "task.num_train=64", "task.num_validation=40", "num_threads=1", "model.num_layers=1", "model.hidden_size=32",
    "model.dropout=0.1", "device=cpu", "max_steps=6", "checkpoint_every=1",
)  # fmt: skip
UNTRACKED = (*TINY, "tracking=none")
SWEEP = ("-m", *UNTRACKED, "study=s", "warmup_ratio=0,0.5")
DELAY = 0.05
"""Largest time between a write and a random kill, in seconds; writes lie closer together."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STACKED_TOLERANCE = 1e-5
TIMES = ("speed", "resumed_at", "sha256", "files", "seconds", "statements")
"""Entries of the JSON files that differ with times, or are digests of files that are compared themselves."""


@dataclass(frozen=True)
class Phase:
    """A command that is killed."""

    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    is_close: bool = False
    """Losses agree to 1e-5, not bit for bit."""
    every_write: bool = False
    """It is killed at every write too."""
    workers: bool = False
    """Half of the random kills hit one of its processes."""
    starts: int = 1
    """So many processes start the command at the same time; one is killed."""
    after: str | None = None
    """The undisturbed result of this phase lies in the folder before the command starts."""
    watched: str | None = None
    """Kills come at random writes below this folder."""


PHASES: dict[str, Phase] = {
    "single": Phase((TRAIN, *UNTRACKED), every_write=True),
    "forced": Phase((TRAIN, *UNTRACKED, "force=true"), after="single", every_write=True),
    "basic": Phase((TRAIN, *SWEEP)),
    "joblib": Phase((TRAIN, *SWEEP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), workers=True),
    "stacked": Phase((TRAIN, *SWEEP, "hydra/launcher=stacked"), is_close=True, every_write=True),
    "looks": Phase((TRAIN, *SWEEP, "compare.looks=[6,7]", "max_steps=2")),
    "report": Phase(("-m", "warmup_lab.report", "runs/s"), after="basic", every_write=True),
    "cache": Phase((TRAIN, *UNTRACKED), (("WARMUP_LAB_CACHE", "cache"),), watched="cache"),
    "tracking": Phase((TRAIN, *TINY, "tracking.mode=offline"), workers=True),
    "two at once": Phase((TRAIN, *UNTRACKED), starts=2),
}


@dataclass(frozen=True)
class Trial:
    """One kill: at a write, or at a random moment."""

    phase: str
    number: int
    at_write: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a trial showed."""

    trial: Trial
    how: str
    """Signal, or `write`; empty if the command ended before the kill."""
    problem: str | None = None


@dataclass(frozen=True)
class Undisturbed:
    """An undisturbed command of a phase."""

    folder: Path
    num_writes: int
    seconds: float
    """From the first write to the end."""


# --- what a command leaves


def left_by(folder: Path) -> dict[str, Any]:
    """Name -> content of all results below a folder: tables as dictionaries of columns, JSON without times."""
    content: dict[str, Any] = {}
    for path in sorted((folder / "runs").rglob("*")):
        name = str(path.relative_to(folder))
        if path.name in ("trace.parquet", "evals.parquet"):
            content[name] = pq.read_table(path).to_pydict()
        elif path.name in ("result.json", "comparison.json"):
            content[name] = {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
        elif ".damaged" in path.name:
            content[name] = "damaged"
    return content


def difference(found: Any, expected: Any, tolerance: float, where: str = "") -> str | None:
    """The first place where two contents differ by more than `tolerance`; None if there is none."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        if found.keys() != expected.keys():
            return f"{where}: only in one of them: {sorted(map(str, found.keys() ^ expected.keys()))[:5]}"
        inside = (difference(found[key], expected[key], tolerance, f"{where}/{key}") for key in expected)
        return next((text for text in inside if text), None)
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        inside = (difference(*pair, tolerance, f"{where}[{n}]") for n, pair in enumerate(zip(found, expected)))  # noqa: B905
        return next((text for text in inside if text), None)
    if tolerance and isinstance(found, float) and isinstance(expected, float):
        return None if np.isclose(found, expected, rtol=tolerance, atol=tolerance) else f"{where}: {found} {expected}"
    return None if found == expected else f"{where}: {str(found)[:80]} instead of {str(expected)[:80]}"


def compared(content: dict[str, Any], phase: Phase) -> dict[str, Any]:
    """What must be equal: of stacked runs no comparison, whose p-values magnify rounding."""
    return {name: value for name, value in content.items() if not (phase.is_close and "comparison" in name)}


# --- trials


def prepared(trial: Trial | str, known: Mapping[str, Undisturbed], root: Path) -> Command:
    """The command of a trial in a folder of its own."""
    name = trial if isinstance(trial, str) else trial.phase
    folder = root / (name if isinstance(trial, str) else f"{name}-{trial.number}-{trial.at_write}").replace(" ", "-")
    phase = PHASES[name]
    if phase.after:
        shutil.copytree(known[phase.after].folder, folder)
    else:
        folder.mkdir()
    environment = dict(phase.environment)
    if "WARMUP_LAB_CACHE" in environment:
        environment["WARMUP_LAB_CACHE"] = str(folder / "cache")
    return Command(phase.words, folder, tuple(environment.items()))


def disturb(trial: Trial, command: Command, known: Undisturbed) -> str:
    """Kills the command; returns how, empty if it ended before."""
    phase, chance = PHASES[trial.phase], random.Random(f"{trial.phase} {trial.number}")
    if trial.at_write is not None:
        return "write" if killed.run_command(command, Kill(at_write=trial.at_write)).was_killed else ""
    number, write = chance.choice(SIGNALS), chance.randint(1, known.num_writes)
    if phase.watched:
        return "write" if killed.run_command(command, Kill(at_write=write)).was_killed else ""
    worker = phase.workers and trial.number % 2 == 1
    kill = Kill(after_write=write, seconds=chance.uniform(0, DELAY), signal_number=number, worker=worker)
    if worker:  # its own writes are not counted
        kill = replace(kill, after_write=1, seconds=chance.uniform(0, known.seconds))
    started = [killed.start(command) for _ in range(phase.starts)]
    ended = [killed.finish(*process, kill if n == 0 else None) for n, process in enumerate(started)]
    return f"{number.name}{' of a worker' if kill.worker else ''}" if ended[0].was_killed else ""


def run_trial(trial: Trial, known: Mapping[str, Undisturbed], root: Path) -> Outcome:
    """A kill, then the same command; the folder stays if something is wrong."""
    phase, command = PHASES[trial.phase], prepared(trial, known, root)
    how = ""
    try:
        how = disturb(trial, command, known[trial.phase])
        again = killed.run_command(command)
        problem = f"exit status {again.status}" if again.status else None
        if problem is None:
            contents = (compared(left_by(folder), phase) for folder in (command.cwd, known[trial.phase].folder))
            problem = difference(*contents, STACKED_TOLERANCE if phase.is_close else 0.0)
    except (TimeoutError, OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem is None:
        shutil.rmtree(command.cwd)
    return Outcome(trial, how, problem)


def undisturbed(name: str, known: Mapping[str, Undisturbed], root: Path) -> Undisturbed:
    """Runs the command of a phase without a kill."""
    command = prepared(name, known, root)
    ended = killed.run_command(command)
    if ended.status:
        sys.exit(f"{name}: {(command.cwd / 'output.txt').read_text()}")
    return Undisturbed(command.cwd, ended.num_writes, ended.seconds)


def trials_of(name: str, known: Undisturbed, num_kills: int, every: int) -> Iterator[Trial]:
    yield from (Trial(name, number) for number in range(num_kills))
    if PHASES[name].every_write and every:
        first = max(1, every // 2)  # not always in front of the first write, when nothing can be lost yet
        yield from (Trial(name, 0, at_write) for at_write in range(first, known.num_writes + 1, every))


def table(outcomes: Sequence[Outcome]) -> str:
    """A row a phase: kills by signal, and how many survived."""
    lines = [f"{'phase':<12} {'kills':>5} {'survived':>8}  by"]
    for name in dict.fromkeys(outcome.trial.phase for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.trial.phase == name and outcome.how]
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(outcome.how for outcome in own).items()))
        lines.append(f"{name:<12} {len(own):>5} {sum(outcome.problem is None for outcome in own):>8}  {kinds}")
    made = [outcome for outcome in outcomes if outcome.how]
    return "\n".join([*lines, f"{'all':<12} {len(made):>5} {sum(outcome.problem is None for outcome in made):>8}"])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES), metavar="PHASE")
    parser.add_argument("--kills", type=int, default=25, help="random kills of each phase")
    parser.add_argument("--writes", type=int, default=1, help="kill at every so-many-th write; 0 is none")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="trials at the same time")
    parser.add_argument("--cache", type=Path, help="cache of all commands, by default a new one")
    options = parser.parse_args(words)
    import_everything()
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "WARMUP_LAB_CACHE": str(options.cache or root / "cache of all"),  # a phase has the folder `cache`
        "WANDB_SILENT": "true",
    }
    known: dict[str, Undisturbed] = {}
    for name in dict.fromkeys([*filter(None, (PHASES[name].after for name in options.phases)), *options.phases]):
        known[name] = undisturbed(name, known, root)
    print(f"undisturbed commands are done; folders are in {root}", flush=True)
    trials = [trial for name in options.phases for trial in trials_of(name, known[name], options.kills, options.writes)]
    random.Random(0).shuffle(trials)
    outcomes = []
    # Not `multiprocessing.Pool`: its processes are daemons, in which joblib starts no workers.
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("fork")) as pool:
        for ended in as_completed([pool.submit(run_trial, trial, known, root) for trial in trials]):
            outcome = ended.result()
            outcomes.append(outcome)
            if outcome.problem:
                print(f"{outcome.trial}, {outcome.how}: {outcome.problem}", flush=True)
            if len(outcomes) % 25 == 0:
                print(f"{len(outcomes)} of {len(trials)} trials", flush=True)
    print(table(sorted(outcomes, key=lambda outcome: list(PHASES).index(outcome.trial.phase))))
    failed = any(outcome.problem for outcome in outcomes)
    if not failed:
        shutil.rmtree(root)
    return int(failed)


def import_everything() -> None:
    """All modules of a training and a report. Nothing is computed: threads would not survive a fork."""
    import gc

    import torch
    import transformers.models.bert.modeling_bert  # noqa: F401
    import wandb  # noqa: F401
    from hydra.core.plugins import Plugins

    import warmup_lab.cli.entry
    import warmup_lab.report.build
    import warmup_lab.sweeps.run
    import warmup_lab.training.loop
    import warmup_lab.training.stacked.train  # noqa: F401

    Plugins.instance()
    torch.set_num_threads(1)
    gc.freeze()  # otherwise every fork searches all modules for garbage, and so copies their memory


if __name__ == "__main__":
    sys.exit(main())
