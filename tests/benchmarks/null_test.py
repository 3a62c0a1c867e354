"""Size and power of final verdicts, on simulated sweeps whose truth is known. `make null-test` runs this.

All numbers come from `comparison.pairwise.compare`, the function that a report calls. Prints Markdown tables, and ends
with an error if a stated bound is broken by more than two standard errors. A false claim is any verdict, trend, lr50 or
headline that says something untrue.

    python tests/benchmarks/null_test.py                            # about 10 minutes on one core
    python tests/benchmarks/null_test.py --only attacks choices     # about 5 minutes
    python tests/benchmarks/null_test.py --sweeps 50 --no-write
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
import statsmodels
from attacks import ATTACKS, EQUIVALENCE
from choices import CHOICES
from scipy import stats
from simulated import (
    EFFECTS,
    NULLS,
    SD,
    Draw,
    Row,
    Truth,
    equal,
    is_right,
    is_wrong,
    judge,
    normal,
    one_worse,
    says_equivalent,
    truncated,
)

from warmup_lab.comparison.looks import decision_of
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import Comparison, Question

RESULTS = Path(__file__).resolve().parent / "results" / "null_test.json"
SEEDS = (6, 8, 12, 24)
LOOKS = (6, 12, 24)
Rng = np.random.Generator
Figures = dict[str, Any]


# ------------------------------------------------------------------------------------------- a fixed number of seeds


def wrong(truth: Truth, seeds: int, rng: Rng) -> bool:
    return is_wrong(judge(truth, seeds, rng), truth)


def right(truth: Truth, seeds: int, rng: Rng) -> bool:
    """A true claim is made, and no false one."""
    found = judge(truth, seeds, rng)
    return is_right(found, truth) and not is_wrong(found, truth)


_POWER = {
    "no warmup worse by 2 SD": ((8, 0.88),),
    "no warmup worse by 2 SD, skew": ((8, 0.88),),
    "no warmup worse by 1 SD": ((24, 0.8),),
    "no warmup fails in 80 % against 20 %": ((24, 0.8),),
    "lr50 without warmup smaller by a factor of 1.41": ((24, 0.8),),
    "lr50 without warmup smaller by a factor of 2": ((6, 0.8), (12, 0.95)),
}


def fixed() -> list[Row]:
    """False claims where all arms are equal, and true ones where they are not."""
    nulls = [Row(name, "any false claim", SEEDS, partial(wrong, truth), 0.05) for name, truth in NULLS.items()]
    effects = [
        Row(name, "found", SEEDS, partial(right, truth), at_least=_POWER.get(name, ()))
        for name, truth in EFFECTS.items()
    ]
    return nulls + effects


# -------------------------------------------------------------------------------------------------- planned looks


def at_looks(draw: Draw, question: Question, rng: Rng) -> tuple[Comparison, float]:
    """The comparison of a sweep whose decided arms stop, and the mean number of seeds an arm got."""
    runs = draw(rng, LOOKS[-1])
    arms, seen, before = set(runs["arm"]), [], 0
    for look in LOOKS:
        new = runs[(runs["seed"] >= before) & (runs["seed"] < look) & runs["arm"].isin(arms)]
        seen.append(new)
        done = pd.concat(seen, ignore_index=True)
        found, before = compare(done, question), look
        arms = decision_of(found, done, question).open_arms
        if not arms:
            break
    return found, len(done) / runs["arm"].nunique()


def sequential_wrong(truth: Truth, _seeds: int, rng: Rng) -> bool:
    question = Question(truth.question.metric, looks=LOOKS)
    return is_wrong(at_looks(truth.draw, question, rng)[0], truth)


def sequential_equivalent(draw: Draw, _seeds: int, rng: Rng) -> bool:
    return says_equivalent(at_looks(draw, Question("eval_loss", margin=SD, looks=LOOKS), rng)[0])


def interval_misses(shift: float, _seeds: int, rng: Rng) -> bool:
    """Whether the interval of the difference, shown when the sweep ends, misses the truth."""
    found, _ = at_looks(partial(two_arms, shift=shift), Question("eval_loss", looks=LOOKS), rng)
    test = found.verdict("w0").test
    assert test is not None
    assert test.interval_95 is not None
    return not test.interval_95[0] <= shift * SD <= test.interval_95[1]


def two_arms(rng: Rng, seeds: int, *, shift: float) -> pd.DataFrame:
    """No warmup, worse by `shift` SD, and the reference."""
    runs = normal(rng, seeds, shift=(shift, 0, 0, 0))
    return runs[runs["arm"].isin(("w0", "w34"))]


def sequential() -> list[Row]:
    any_claim = "any false claim at any look"
    at_margin = partial(normal, shift=(1, 1, 0, 1))
    nulls = (
        ("nothing, normal losses", equal(normal)),
        ("nothing, 30 % of all runs fail", equal(normal, rates=(0.3,) * 4)),
        ("nothing, truncation", equal(truncated)),
        ("no warmup worse by 2 SD: the other arms, after it stops", one_worse(normal, shift=(2, 0, 0, 0))),
    )
    return [
        *(Row(name, any_claim, (24,), partial(sequential_wrong, truth), 0.05) for name, truth in nulls),
        Row(
            "all others worse by exactly the margin, 1 SD",
            "any called equivalent",
            (24,),
            partial(sequential_equivalent, at_margin),
            0.05,
        ),
        Row("no warmup worse by 1 SD", "the 95 % interval misses it", (24,), partial(interval_misses, 1.0), 0.05),
    ]


def seeds_needed(sweeps: int, seed: int) -> list[Figures]:
    """Power and mean number of seeds at looks, and the seeds of a fixed design with the same power at 1 SD."""
    rng, rows = np.random.default_rng(seed), []
    for shift, margin in ((0.0, None), (0.0, 2 * SD), (1.0, None), (2.0, None)):
        question = Question("eval_loss", margin=margin, looks=LOOKS)
        made = [at_looks(partial(two_arms, shift=shift), question, rng) for _ in range(sweeps)]
        power = float(np.mean([found.verdict("w0").value == "worse" for found, _ in made]))
        effect = f"{shift:g} SD" + (", margin 2 SD" if margin else "")
        rows.append({"effect": effect, "power": power, "mean_seeds": float(np.mean([used for _, used in made]))})
    fixed_seeds = num_seeds_of_t_test(min(rows[2]["power"], 1 - 0.5 / sweeps))
    return [row | {"fixed_seeds": fixed_seeds, "share": row["mean_seeds"] / fixed_seeds} for row in rows]


def num_seeds_of_t_test(power: float) -> int:
    """Seeds at which a paired t-test at a level of 5 % finds 1 SD with this power, by the noncentral t."""
    for seeds in range(6, 200):
        critical = stats.t.isf(0.025, seeds - 1)
        if stats.nct.sf(critical, seeds - 1, math.sqrt(seeds)) >= power:
            return seeds
    raise ValueError(f"power={power}: not reached with 200 seeds")


# ------------------------------------------------------------------------------------------------ measure and print


PARTS: dict[str, tuple[str, Callable[[], Sequence[Row]]]] = {
    "fixed": ("Size and power", fixed),
    "equivalence": ("Equivalence", lambda: EQUIVALENCE),
    "sequential": (f"Planned looks at {LOOKS} seeds", sequential),
    "choices": ("Choices", lambda: CHOICES),
    "attacks": ("Attacks", lambda: ATTACKS),
}
_MAIN = ["fixed", "equivalence", "sequential"]


def measure(row: Row, seeds: int, *, sweeps: int, seed: int) -> Figures:
    """Share of `sweeps` simulated sweeps in which the row's event happens."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    share = sum(row.happens(seeds, rng) for _ in range(sweeps)) / sweeps
    return {
        "truth": row.truth,
        "event": row.event,
        "seeds": seeds,
        "share": share,
        "broken": row.broken_by(share, seeds, sweeps),
        "milliseconds": round(1000 * (time.perf_counter() - start) / sweeps, 1),
    }


def markdown(rows: Sequence[Row], measured: Sequence[Figures]) -> str:
    """One line a row; a column for each number of seeds."""
    columns = sorted({seeds for row in rows for seeds in row.seeds})
    lines = ["| truth | event | " + " | ".join(f"{seeds} seed{'s' * (seeds > 1)}" for seeds in columns) + " | bound |"]
    lines.append("|---|---|" + "---|" * (len(columns) + 1))
    shares = {(one["truth"], one["event"], one["seeds"]): one["share"] for one in measured}
    for row in rows:
        found = [shares.get((row.truth, row.event, seeds)) for seeds in columns]
        cells = ["" if share is None else f"{100 * share:.1f} %" for share in found]
        bounds = [f"at most {100 * row.at_most:g} %"] if row.at_most is not None else []
        bounds += [f"at least {100 * share:g} % at {seeds}" for seeds, share in row.at_least]
        lines.append("| " + " | ".join([row.truth, row.event, *cells, ", ".join(bounds)]) + " |")
    return "\n".join(lines)


def looks_markdown(rows: Sequence[Figures]) -> str:
    lines = ["| effect | power | mean seeds of an arm | fixed design, same power at 1 SD |", "|---|---|---|---|"]
    for row in rows:
        numbers = f"{100 * row['power']:.1f} % | {row['mean_seeds']:.1f} | {row['fixed_seeds']}"
        lines.append(f"| {row['effect']} | {numbers} ({100 * row['share']:.0f} % of it) |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=300, help="simulated sweeps for each number; 300 unless stated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=_MAIN, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    sweeps, content, broken = options.sweeps, {}, []
    error = [100 * math.sqrt(share * (1 - share) / sweeps) for share in (0.05, 0.8)]
    print(f"{sweeps} sweeps a number: the standard error is {error[0]:.1f} points at 5 %, {error[1]:.1f} at 80 %.")
    for part in options.only:
        title, make_rows = PARTS[part]
        rows = make_rows()
        measured = [
            measure(row, seeds, sweeps=sweeps, seed=1000 * options.seed + number)
            for number, (row, seeds) in enumerate((row, seeds) for row in rows for seeds in row.seeds)
        ]
        broken += [one["broken"] for one in measured if one["broken"]]
        content[part] = measured
        print(f"\n## {title}\n\n{markdown(rows, measured)}", flush=True)
        if part == "sequential":
            content["seeds"] = needed = seeds_needed(sweeps, options.seed)
            print(f"\n{looks_markdown(needed)}", flush=True)
            if needed[-1]["share"] > 0.6:
                broken.append(f"2 SD: looks need {100 * needed[-1]['share']:.0f} % of the fixed design, at most 60 %")
    if not options.no_write:
        versions = {module.__name__: module.__version__ for module in (np, scipy, statsmodels, pd)}
        RESULTS.parent.mkdir(exist_ok=True)
        parts = json.loads(RESULTS.read_text()).get("parts", {}) if RESULTS.exists() else {}
        parts |= {part: {"sweeps": sweeps, "seed": options.seed, "rows": rows} for part, rows in content.items()}
        RESULTS.write_text(json.dumps({"versions": versions, "parts": parts}, indent=1, allow_nan=False) + "\n")
    if broken:
        raise SystemExit("broken bounds:\n" + "\n".join(broken))


if __name__ == "__main__":
    main()
