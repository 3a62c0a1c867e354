"""Shared by all benchmarks: sides timed in turn, medians with their spread, one table, one JSON file a benchmark.

Imports only the standard library, so that a benchmark can run where little is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "runs" / "benchmarks"
"""Default of `--out`, ignored by git."""
TRAIN = ROOT / "train.py"


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    """The smallest."""
    high: float
    """The largest."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 3) -> str:
        """For example `0.612 (0.598 to 0.641)`, rounded to `digits` significant digits."""
        return f"{_short(self.median, digits)} ({_short(self.low, digits)} to {_short(self.high, digits)})"


def _short(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


@dataclass(frozen=True)
class Row:
    """One line of the table: this project compared with a peer, or one size with another."""

    benchmark: str
    what: str
    """What was measured."""
    unit: str
    """Of `ours` and `peer`."""
    ours: Spread
    peer: Spread | None = None
    peer_name: str = ""
    ratio: Spread | None = None
    """Of the two values of each round."""
    ratio_is: str = ""
    """How the ratio is formed, for example `ours / peer`."""
    limit: float | None = None
    """Target of the ratio: its largest value, or its smallest if `at_least`."""
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median of the ratio meets the limit; None without a limit."""
        if self.ratio is None or self.limit is None:
            return None
        return self.ratio.median >= self.limit if self.at_least else self.ratio.median <= self.limit


def compared(  # noqa: PLR0913 - one argument for each column of the table
    benchmark: str,
    what: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    peer_name: str,
    *,
    faster: bool = False,
    limit: float | None = None,
) -> Row:
    """A row of two sides. The ratio is ours / peer, or peer / ours with `faster`, for each round."""
    pairs = zip(ours, peer, strict=True)
    ratio = Spread.of([theirs / own if faster else own / theirs for own, theirs in pairs])
    is_ = "times faster" if faster else "ours / peer"
    return Row(
        benchmark, what, unit, Spread.of(ours), Spread.of(peer), peer_name, ratio, is_, limit, at_least=faster
    )  # fmt: skip


def alternate(sides: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Runs every side once a round, in reverse order in odd rounds. A side is called with the number of the round.

    Other load on the machine, and what one side leaves behind for the next, therefore affect all sides.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            value = sides[name](number)
            found[name].append(value)
            say(f"round {number + 1} of {rounds}, {name}: {value:.4g}")
    return found


def say(text: str) -> None:
    """Prints progress to stderr. Only the table goes to stdout."""
    print(text, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------------------- processes


@dataclass(frozen=True)
class Finished:
    """A process that ended with status 0."""

    seconds: float
    peak_mb: float
    """Largest resident memory of the process itself, in 10^6 bytes."""
    output: str


def whole_process(arguments: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Runs a command and measures the time from start to exit. RuntimeError with its output if it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in _THREADS} | dict(env or {})
    started = time.perf_counter()
    with subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # the only call that reports the peak of this child alone
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))} ended with {process.returncode}:\n{output[-3000:]}")
    scale = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Finished(seconds, usage.ru_maxrss * scale / 1e6, output)


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Removed from the environment of a process, so that each side has the threads that a user would get."""


# ----------------------------------------------------------------------------------------------------- results


def machine(num_threads: int | str | None = None) -> dict[str, Any]:
    """The machine that the numbers were measured on."""
    found: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("warmup-lab", "torch", "transformers", "accelerate", "numpy")},
        "load": list(os.getloadavg()),
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return found | ({} if num_threads is None else {"threads": num_threads})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows in the form in which `write` saves them."""
    head = ["benchmark", "what", "ours", "peer", "ratio (smallest to largest of n)", "target"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        ours, peer, ratio = (Spread(**row[name]) if row[name] else None for name in ("ours", "peer", "ratio"))
        cells = [
            row["benchmark"],
            row["what"],
            f"{_short(ours.median, 3)} {row['unit']}" if ours else "",
            f"{_short(peer.median, 3)} {row['unit']}, {row['peer_name']}" if peer else "",
            f"{ratio.text()} of {ratio.count}, {row['ratio_is']}" if ratio else "",
            _target(row),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _target(row: Mapping[str, Any]) -> str:
    if row["limit"] is None:
        return ""
    return f"{'>=' if row['at_least'] else '<='} {row['limit']:g}: {'met' if row['met'] else 'NOT met'}"


def write(
    name: str, rows: Sequence[Row], out: Path, *, settings: Mapping[str, Any], checks: Mapping[str, Any], threads: Any
) -> dict[str, Any]:
    """Prints the table, writes `<out>/<name>.json` and returns its content.

    `settings` describes what was run. `checks` shows that all sides did the same work: each has `ok` and the `numbers`
    that were compared.
    """
    content = {
        "benchmark": name,
        "machine": machine(threads),
        "settings": dict(settings),
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "checks": dict(checks),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(table(content["rows"]))
    for title, check in checks.items():
        print(f"{'same work' if check['ok'] else 'NOT THE SAME WORK'}: {title}: {check['numbers']}")
    return content


def agreement(numbers: Mapping[str, float], tolerance: float) -> dict[str, Any]:
    """A check that these numbers, each with random draws of its own, are within `tolerance` of each other."""
    values = list(numbers.values())
    return {
        "ok": max(values) - min(values) <= tolerance,
        "numbers": {name: round(value, 6) for name, value in numbers.items()},
        "tolerance": tolerance,
        "statistical": True,
    }


def arguments(description: str, *, rounds: int = 5) -> argparse.ArgumentParser:
    """The arguments of every benchmark."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, epilog=f"Results: {OUT}/*.json"
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="number of rounds; every side runs once a round")
    parser.add_argument(
        "--quick", action="store_true", help="a few updates, to check that it runs; the times mean nothing"
    )
    parser.add_argument("--out", type=_absolute, default=OUT, help="folder for the results")
    return parser


def _absolute(path: str) -> Path:
    """Processes are started in other folders."""
    return Path(path).resolve()
