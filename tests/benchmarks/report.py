"""Time and peak memory of the report of 1,000 and of 10,000 runs of 1,000 updates each, as whole processes.

    python tests/benchmarks/report.py              # 5 rounds of both sizes

The sweeps are made up (`tests/support/fake_sweep.py`) and written once, before any clock starts. The large sweep has
twice the schedules, twice the warmup lengths and 2.5 times the seeds of the small one. A round runs
`python -m warmup_lab.report` on both, from start to exit. It writes `results.parquet`, `comparison.json`,
`report.html` and the figures.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import timing

sys.path.insert(0, str(timing.ROOT / "tests" / "support"))
from fake_sweep import make_sweep

LRS = (3e-4, 1e-3, 2e-3, 3e-3, 6e-3)
SCHEDULERS = ("warmuplinear", "warmupcosine", "warmupconstant", "warmupcosinewithhardrestarts")
MAX_SECONDS, MAX_MB = 180.0, 2000.0


def make(folder: Path, *, times: int, quick: bool) -> Path:
    """A sweep of 1,000 runs, or of 10,000 if `times` is 10. With `quick`: of 4 short runs, or of 16 if `times` is 2."""
    if quick:
        shape = {"schedulers": SCHEDULERS[:times], "ratios": (0.0, 0.1), "lrs": LRS[1:2], "seeds": 2 * times}
        return make_sweep(folder, **shape, total_steps=40, summarised=False)
    num_schedulers, num_ratios, seeds = (4, 20, 25) if times > 1 else (2, 10, 10)
    ratios = np.round(np.linspace(0, 0.5, num_ratios), 3).tolist()
    shape = {"schedulers": SCHEDULERS[:num_schedulers], "ratios": ratios, "lrs": LRS, "seeds": seeds}
    return make_sweep(folder, **shape, total_steps=1000, summarised=False)


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0])
    options = parser.parse_args(words)
    rounds, sizes = (1, (1, 2)) if options.quick else (options.rounds, (1, 10))
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for times in sizes:
            folder = make(Path(scratch) / f"study{times}", times=times, quick=options.quick)
            folders[f"{sum(path.is_dir() for path in folder.iterdir()):,} runs"] = folder

        peaks: dict[str, list[float]] = {name: [] for name in folders}

        def side(name: str) -> Callable[[int], float]:
            def once(_: int) -> float:
                for written in ("report.html", "comparison.json", "results.parquet"):
                    (folders[name] / written).unlink(missing_ok=True)
                shutil.rmtree(folders[name] / "figures", ignore_errors=True)
                done = timing.whole_process([sys.executable, "-m", "warmup_lab.report", folders[name]], folders[name])
                peaks[name].append(done.peak_mb)
                return done.seconds

            return once

        seconds = timing.alternate({name: side(name) for name in folders}, rounds)
        checks = {f"{name} are all in the report": _complete(folder, name) for name, folder in folders.items()}
        pages = {name: (folder / "report.html").stat().st_size / 1e6 for name, folder in folders.items()}
    small, big = folders
    growth = _num_runs(big) / _num_runs(small)
    rows = [_row(f"report of {big}", "s", seconds, growth), _row(f"peak memory, {big}", "MB", peaks, growth)]
    settings = {"updates": 40 if options.quick else 1000, "rounds": rounds, "growth_of_runs": growth, "page_mb": pages}
    settings |= {"limits": {"seconds": MAX_SECONDS, "mb": MAX_MB}}
    timing.write("report", rows, options.out, settings=settings, checks=checks, threads="auto")


def _row(what: str, unit: str, costs: dict[str, list[float]], growth: float) -> timing.Row:
    """The cost must not grow faster than the number of runs: (big / small) / growth is at most 1."""
    (small, small_costs), (big, big_costs) = costs.items()
    ratios = [one / other / growth for one, other in zip(big_costs, small_costs, strict=True)]
    return timing.Row(
        "report", what, unit, timing.Spread.of(big_costs), timing.Spread.of(small_costs), small,
        timing.Spread.of(ratios), f"{big} / {growth:g} times {small}", limit=1.0,
    )  # fmt: skip


def _num_runs(name: str) -> int:
    return int(name.partition(" ")[0].replace(",", ""))


def _complete(folder: Path, name: str) -> dict[str, object]:
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    numbers = {
        "comparison.json": comparison["counts"]["runs"],
        "results.parquet": pq.read_metadata(folder / "results.parquet").num_rows,
    }
    whole = (folder / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    return {"ok": whole and set(numbers.values()) == {_num_runs(name)}, "numbers": numbers}


if __name__ == "__main__":
    main()
